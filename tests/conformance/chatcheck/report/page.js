"use strict";
document.documentElement.classList.remove("no-script");
const buttons = [...document.querySelectorAll(".filter button")];
const chosen = new Set();

function show() {
  for (const item of document.querySelectorAll("[data-verdict]")) {
    const out = chosen.size > 0 && !chosen.has(item.dataset.verdict);
    if (item.matches(".cells li")) item.classList.toggle("dim", out);
    else item.hidden = out;
  }
  for (const group of document.querySelectorAll("[data-group]"))
    group.hidden = !group.querySelector("[data-verdict]:not([hidden])");
  for (const button of buttons) {
    const verdict = button.dataset.filter;
    button.setAttribute("aria-pressed", String(verdict ? chosen.has(verdict) : chosen.size === 0));
  }
  const rows = document.querySelectorAll(".rules tr[data-verdict]");
  const left = [...rows].filter((row) => !row.hidden).length;
  document.getElementById("shown").textContent = `${left} of ${rows.length} clauses shown`;
}

for (const button of buttons)
  button.addEventListener("click", () => {
    const verdict = button.dataset.filter;
    if (!verdict) chosen.clear();
    else if (!chosen.delete(verdict)) chosen.add(verdict);
    show();
  });

// A link to a clause that the filter hides shows it; one into closed details opens them.
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target.hidden) {
    chosen.clear();
    show();
  }
  target.querySelector("details")?.setAttribute("open", "");
  target.scrollIntoView();
}
addEventListener("hashchange", reveal);

for (const button of document.querySelectorAll(".copy"))
  button.addEventListener("click", async () => {
    const script = button.nextElementSibling;
    try {
      await navigator.clipboard.writeText(script.textContent);
    } catch {
      getSelection().selectAllChildren(script);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });

// What is closed is not printed, so everything is opened for paper, and closed again.
let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open]):not(.long)")];
  for (const item of closed) item.open = true;
});
addEventListener("afterprint", () => {
  for (const item of closed) item.open = false;
});
reveal();
