// What scrolls can be reached by keyboard; what the theme leaves without a name gets one.
document$.subscribe(() => {
  for (const part of document.querySelectorAll(".md-typeset__scrollwrap, pre > code, .drawing")) {
    if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
  }
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search these pages");
  document.querySelectorAll(".md-code__nav").forEach((nav, i) => {
    nav.setAttribute("aria-label", `Code block ${i + 1}`);
  });
});
