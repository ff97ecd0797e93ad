// Draws each chart when it comes into view; the picture that stood there stays where this does not run.
"use strict";
(() => {
  const dark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const plain = { background: "transparent" };
  const night = { ...plain, config: {
    axis: { labelColor: "#c9d1d9", titleColor: "#c9d1d9", gridColor: "#343b43", domainColor: "#6b7681", tickColor: "#6b7681" },
    legend: { labelColor: "#c9d1d9", titleColor: "#c9d1d9" }, text: { color: "#c9d1d9" }, rule: { color: "#79b8ff" },
    range: { category: ["#56b4e9", "#f0813c", "#35c9a0", "#d998bd", "#e69f00", "#9adcff", "#ffffff", "#b0b0b0", "#d0679d"] } } };
  const draw = async (image) => {
    const spec = await (await fetch(image.dataset.spec)).json();
    const box = document.createElement("div");
    box.className = "drawn";
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", image.alt);
    const look = dark() ? night : plain;
    const config = { ...spec.config, ...look.config, axis: { ...spec.config?.axis, ...look.config?.axis },
      legend: { ...spec.config?.legend, ...look.config?.legend } };
    image.after(box);
    try {
      await vegaEmbed(box, { ...spec, background: look.background, config }, { actions: false, renderer: "svg", ast: true });
      image.hidden = true;
    } catch (error) {
      box.remove();
      console.warn(error);
    }
  };
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "300px" });
  document.querySelectorAll("img[data-spec]").forEach((image) => watcher.observe(image));
})();
