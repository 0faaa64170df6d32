# The parts of Étude in one image: `python -m service`, `python -m service --only dashboard`, `python -m workers`.
FROM python:3.11-slim

WORKDIR /etude
RUN useradd --create-home etude && chown etude /etude
ENV PYTHONUNBUFFERED=1

# torch first and alone: it is the largest layer and changes least. Without CUDA, set TORCH_INDEX to an index of
# CPU builds; the version is the same.
COPY constraints.txt ./
ARG TORCH_INDEX=""
RUN pip install --no-cache-dir --constraint constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch

COPY pyproject.toml README.md LICENSE ./
COPY search_spaces search_spaces
COPY etude etude
RUN pip install --no-cache-dir --constraint constraints.txt --editable '.[service,workers]'

COPY store store
COPY service service
COPY workers workers

USER etude
CMD ["python", "-m", "service"]
