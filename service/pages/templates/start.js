// The form that submits a study: what is wrong is said at its field.
(() => {
  const form = document.getElementById("submit");
  if (form === null) return;
  const places = { name: "name", task: "task", "task.name": "task", "space.preset": "preset", "budget.trials": "trials", seed: "seed" };
  const general = document.getElementById("submit-error");
  let key = null; // the same study is sent under the same key, however often the button is pressed

  form.addEventListener("input", () => { key = null; });

  function study() {
    const value = (name) => form.elements[name].value.trim();
    return {
      name: value("name"),
      task: { name: value("task") },
      space: { preset: value("preset") },
      budget: { trials: Number(value("trials")) },
      seed: Number(value("seed")),
    };
  }

  function clear() {
    general.textContent = "";
    for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    for (const text of form.querySelectorAll(".error")) text.textContent = "";
  }

  function tell(problem) {
    const told = problem.errors?.length ? problem.errors : [{ field: problem.field, detail: problem.detail ?? problem.title }];
    for (const { field, detail } of told) {
      const name = places[field];
      if (name === undefined) {
        general.textContent += `${field ? `${field}: ` : ""}${detail} `;
        continue;
      }
      form.elements[name].setAttribute("aria-invalid", "true");
      document.getElementById(`${name}-error`).textContent = detail;
    }
    form.querySelector("[aria-invalid]")?.focus();
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clear();
    const button = form.querySelector("button");
    button.disabled = true;
    key ??= Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    try {
      const answer = await fetch("/v1/studies", {
        method: "POST",
        headers: { "Content-Type": "application/json", "Idempotency-Key": key },
        body: JSON.stringify(study()),
        credentials: "same-origin",
      });
      const body = await answer.json();
      if (answer.ok) location.assign(`/v1/studies/${encodeURIComponent(body.name)}/report`);
      else tell(body);
    } catch {
      general.textContent = "The service does not answer. Try again: the study is stored once, however often it is sent.";
    } finally {
      button.disabled = false;
    }
  });
})();
