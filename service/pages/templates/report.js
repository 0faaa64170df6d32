// A report: code to copy, series to tell apart, and the page kept up to date while the study goes on.
(() => {
  const main = document.querySelector("main[data-report]");
  if (main === null) return;
  const announce = document.getElementById("announce");

  // Everything inside main may be replaced at any time, so listeners stand on main itself.

  function chooseFramework(select) {
    for (const text of main.querySelectorAll("pre[data-framework]")) text.hidden = text.dataset.framework !== select.value;
    main.dataset.chosen = select.value;
  }

  async function copyCode(button) {
    const shown = main.querySelector("pre[data-framework]:not([hidden]) code");
    try {
      await navigator.clipboard.writeText(shown.textContent);
      say(button, "Copied");
    } catch {
      getSelection().selectAllChildren(shown);
      say(button, "Selected: press Ctrl+C");
    }
  }

  function say(button, text) {
    button.textContent = text;
    announce.textContent = text;
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }

  main.addEventListener("click", (event) => {
    if (event.target.id === "copy") copyCode(event.target);
  });
  main.addEventListener("change", (event) => {
    if (event.target.id === "framework") chooseFramework(event.target);
  });

  // Live: the service tells that something has changed, and draws the page again; what differs is put in.

  const LEAST_PAUSE = 1000; // ms between two drawings
  const MOST_PAUSE = 10000;
  const PAUSE_FACTOR = 10; // a service that takes long to draw is asked less often
  let pause = LEAST_PAUSE;
  let due = null;
  let drawing = false;
  let again = false; // something has changed since the drawing under way was asked for

  function keyOf(element) {
    return element.id === "" ? null : `#${CSS.escape(element.id)}`;
  }

  function replaceChanged(fresh) {
    const focused = document.activeElement && document.activeElement.id;
    const open = [...main.querySelectorAll("details[open]")].map(keyOf);
    for (const section of [...main.children]) if (!fresh.querySelector(keyOf(section))) section.remove();
    let before = null;
    for (const section of [...fresh.children]) {
      const here = main.querySelector(keyOf(section));
      const kept = here !== null && here.isEqualNode(section) ? here : document.adoptNode(section);
      if (here !== null && kept !== here) here.replaceWith(kept);
      if (here === null) before === null ? main.prepend(kept) : before.after(kept);
      before = kept;
    }
    for (const key of open) main.querySelector(key)?.setAttribute("open", "");
    const select = document.getElementById("framework");
    if (select !== null && main.dataset.chosen) {
      select.value = main.dataset.chosen;
      if (select.value) chooseFramework(select);
    }
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  async function refresh() {
    due = null;
    drawing = true;
    again = false;
    const began = performance.now();
    try {
      const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
      if (!answer.ok) throw new Error(String(answer.status));
      again ||= answer.headers.has("Age"); // drawn before: there may be news that it does not show
      put(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      again = true; // the service is away: it is asked again
    }
    drawing = false;
    pause = Math.min(MOST_PAUSE, Math.max(LEAST_PAUSE, PAUSE_FACTOR * (performance.now() - began)));
    if (again) later();
  }

  function put(page) {
    const told = document.getElementById("headline")?.textContent;
    replaceChanged(page.querySelector("main[data-report]"));
    document.title = page.title;
    const tells = document.getElementById("headline")?.textContent;
    if (tells && tells !== told) announce.textContent = tells;
  }

  function later(wait = pause) {
    if (drawing) again = true;
    else due ??= setTimeout(refresh, wait);
  }

  if (main.dataset.live === "true" && main.dataset.events) {
    const events = new EventSource(main.dataset.events);
    const light = document.getElementById("live");
    const show = (text) => { light.textContent = text; light.hidden = text === ""; };
    events.onopen = () => show("live");
    events.onerror = () => show("connection lost, trying again");
    events.addEventListener("study", () => later());
    events.addEventListener("trial", () => later());
    events.addEventListener("end", () => {
      events.close();
      show("");
      clearTimeout(due);
      due = null;
      later(0);
    });
    addEventListener("pagehide", () => events.close());
  }
})();
