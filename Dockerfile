# The parts of Étude in two images: `docker build --target service .` and `docker build --target worker .`
#
# Both run as user 10001 and need nothing but /tmp and ETUDE_DATA_DIR to be writable. Which part a container is, its
# command says; docker-compose.yml and deploy/kubernetes name them all (docs/deployment.md).
FROM python:3.11-slim-bookworm AS base
WORKDIR /etude
# HOME: libraries keep caches there. The pulse is for parts without an address: the time of this file says they go on.
ENV PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    ETUDE_DATA_DIR=/var/lib/etude \
    ETUDE_PULSE_FILE=/tmp/pulse
RUN useradd --uid 10001 --user-group --no-log-init --no-create-home --home-dir /tmp etude \
    && install --directory --owner=etude --group=etude /var/lib/etude
COPY constraints.txt pyproject.toml README.md LICENSE ./
# Packages of ours without content: what they need is installed in a layer that changes of their sources leave alone.
RUN mkdir etude search_spaces && touch etude/__init__.py search_spaces/__init__.py


# The API, the coordinator, the clock, the dashboard, and the store's commands. No torch.
FROM base AS service
RUN pip install --no-cache-dir --constraint constraints.txt --editable '.[service]'
COPY search_spaces search_spaces
COPY etude etude
COPY store store
COPY service service
# Readable for all, whatever the modes are in the directory that it is built from.
RUN python -m compileall -q search_spaces etude store service && chmod -R a+rX .
USER 10001:10001
EXPOSE 8000 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ.get(\"ETUDE_PORT\", 8000)}/readyz', timeout=5)"]
CMD ["python", "-m", "service"]


# Workers, with the CUDA build of torch, which brings CUDA's libraries; of the machine they need NVIDIA's driver only.
FROM base AS worker
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
# torch first and alone: it is the largest layer by far, and changes least. TORCH_INDEX may name an index of CPU builds.
ARG TORCH_INDEX=""
RUN pip install --no-cache-dir --constraint constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch torchvision
RUN pip install --no-cache-dir --constraint constraints.txt --editable '.[workers]'
COPY search_spaces search_spaces
COPY etude etude
COPY store store
COPY workers workers
RUN python -m compileall -q search_spaces etude store workers && chmod -R a+rX .
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=6s --start-period=120s --retries=3 \
    CMD ["find", "/tmp/pulse", "-mmin", "+5", "-exec", "false", "{}", "+"]
CMD ["python", "-m", "workers"]
