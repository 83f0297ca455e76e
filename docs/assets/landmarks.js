// Names of landmarks, by which a screen reader lists them: the theme repeats some and leaves others
// out.
const text = (id) => document.getElementById(id)?.textContent.trim() ?? "";

const nameLandmarks = () => {
  document.querySelectorAll("nav.md-code__nav:not([aria-label])").forEach((nav) => {
    nav.setAttribute("aria-label", `Actions for ${nav.closest("[id]")?.id ?? "code"}`);
  });
  document.querySelectorAll("nav.md-nav nav.md-nav[aria-labelledby]").forEach((nav) => {
    const parent = nav.parentElement.closest("nav.md-nav")?.getAttribute("aria-label");
    const name = text(nav.getAttribute("aria-labelledby"));
    nav.setAttribute("aria-label", parent ? `${parent}, ${name}` : name);
    nav.removeAttribute("aria-labelledby");
  });
  const names = new Set();
  document.querySelectorAll("nav.md-nav[aria-label]").forEach((nav) => {
    const name = nav.getAttribute("aria-label");
    let unique = name;
    for (let number = 2; names.has(unique.toLowerCase()); number += 1) unique = `${name} (${number})`;
    names.add(unique.toLowerCase());
    if (unique !== name) nav.setAttribute("aria-label", unique);
  });
  document.querySelector(".md-search:not([aria-label])")?.setAttribute("aria-label", "Search");
  // A table that is wider than a phone is scrolled by keyboard, too.
  document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])").forEach((table) => {
    table.setAttribute("tabindex", "0");
  });
};

new MutationObserver(nameLandmarks).observe(document, { childList: true, subtree: true });
nameLandmarks();
