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
  // the colours of a chart on a dark ground; black among them would vanish
  const atNight = { "#000000": "#ffffff", "#0072B2": "#56b4e9", "#D55E00": "#f0813c", "#009E73": "#35c9a0", "#CC79A7": "#d998bd",
    "#56B4E9": "#9adcff", "#999999": "#b0b0b0", "#882255": "#d0679d", "#B9C0C7": "#59626b" };
  const recoloured = (value) => {
    if (typeof value === "string") return atNight[value] ?? value;
    if (Array.isArray(value)) return value.map(recoloured);
    return value && typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, recoloured(one)])) : value;
  };
  const draw = async (image) => {
    const drawn = await (await fetch(image.dataset.spec)).json();
    const spec = dark() ? recoloured(drawn) : drawn;
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
