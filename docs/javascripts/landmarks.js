// The theme puts each copy button into a landmark without a name; screen readers would list them all.
const unnamed = () => document.querySelectorAll("nav.md-code__nav:not([role])").forEach(nav => nav.setAttribute("role", "none"))
new MutationObserver(unnamed).observe(document.documentElement, { childList: true, subtree: true })
unnamed()
