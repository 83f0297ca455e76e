// Names of navigation landmarks, by which a screen reader lists them: the theme repeats some and
// leaves others out.
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
};

new MutationObserver(nameLandmarks).observe(document, { childList: true, subtree: true });
nameLandmarks();
