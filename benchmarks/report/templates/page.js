"use strict";
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  document.getElementById("theme").addEventListener("click", () => {
    const now = root.dataset.theme || (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
  });

  // Paper has no folds: everything is opened for printing, and closed again.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not(.behind):not([open])")];
    opened.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((one) => { one.open = false; }));

  const still = matchMedia("(prefers-reduced-motion: reduce)");
  document.querySelectorAll("[data-animation]").forEach((figure) => {
    const button = figure.querySelector(".pause");
    const name = (moving) => { button.textContent = moving ? "Pause" : "Play"; };
    name(!still.matches);
    button.addEventListener("click", () => {
      const moving = button.textContent === "Pause";
      figure.classList.toggle("paused", moving);
      figure.classList.toggle("playing", !moving);
      name(!moving);
    });
  });

  const block = document.getElementById("data");
  const networks = block ? JSON.parse(block.textContent) : {};
  const count = new Intl.NumberFormat("en-US");
  document.querySelectorAll("[data-network]").forEach((figure) => {
    const frames = networks[figure.dataset.network];
    const slider = figure.querySelector("input");
    const button = figure.querySelector(".play");
    const output = figure.querySelector("output");
    const bands = figure.querySelector(".bands");
    const edges = figure.querySelector(".edges");
    const layers = [...figure.querySelectorAll("g.units")].map((group) => ({
      units: Number(group.dataset.units),
      per: Number(group.dataset.per),
      dots: [...group.querySelectorAll("circle[data-order]")],
    }));
    const show = (at) => {
      const { steps, units, weights, share } = frames[at];
      layers.forEach((layer, index) => {
        const left = Math.floor((layer.units - units[index]) / layer.per);
        layer.dots.forEach((dot) => {
          const gone = Number(dot.dataset.order) < left;
          dot.classList.toggle("gone", gone);
          dot.classList.toggle("there", !gone);
        });
      });
      bands.setAttribute("opacity", Math.max(share, 0.03));
      edges.setAttribute("opacity", 1 - 0.7 * share);
      output.textContent = `${count.format(steps)} steps: ${units.join("-")} hidden units, ` +
        `${count.format(weights)} weights`;
      slider.setAttribute("aria-valuetext", output.textContent);
      slider.value = at;
    };
    let timer = 0;
    const stop = () => { clearInterval(timer); timer = 0; button.textContent = "Play"; };
    slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
    button.addEventListener("click", () => {
      if (timer) { stop(); return; }
      let at = Number(slider.value) >= frames.length - 1 ? 0 : Number(slider.value);
      button.textContent = "Pause";
      show(at);
      timer = setInterval(() => {
        at += 1;
        show(at);
        if (at >= frames.length - 1) { stop(); }
      }, Math.max(30, 6000 / frames.length));
    });
    slider.setAttribute("aria-valuetext", output.textContent);
  });
})();
