// Zoom by a click on a frame, search by the word at the upper right or Ctrl-F.
(() => {
  const svg = document.documentElement.closest("svg") || document.querySelector("svg");
  const left = +svg.dataset.left, width = +svg.dataset.width, character = 7.3;
  const byId = (id) => svg.querySelector("#" + id);
  const info = byId("info"), usual = info.textContent;
  const frames = [...svg.querySelectorAll(".f")].map((group) => {
    const [title, rect, text] = group.children;
    const [name, rest] = title.textContent.split(/\n(?=[^\n]*$)/);
    return {
      group, rect, text, name, rest,
      x: +rect.getAttribute("x"), y: +rect.getAttribute("y"), w: +rect.getAttribute("width"),
    };
  });
  let matching = null;

  const fit = (name, room) => {
    const count = Math.floor((room - 6) / character);
    return name.length <= count ? name : count < 3 ? "" : name.slice(0, count - 1) + "…";
  };

  const zoom = (to) => {
    const scale = width / to.w, slack = 0.006;
    for (const f of frames) {
      const above = f.y < to.y && f.x <= to.x + slack && f.x + f.w >= to.x + to.w - slack;
      const within = f.y >= to.y && f.x >= to.x - slack && f.x + f.w <= to.x + to.w + slack;
      f.group.style.display = above || within ? "" : "none";
      f.group.classList.toggle("p", above);
      const x = above ? left : left + (f.x - to.x) * scale, w = above ? width : f.w * scale;
      f.rect.setAttribute("x", x);
      f.rect.setAttribute("width", w);
      f.text.setAttribute("x", x + 3);
      f.text.textContent = fit(f.name, w);
    }
    byId("reset").setAttribute("visibility", to === frames[0] ? "hidden" : "visible");
  };

  // Matching frames below matching frames are counted once.
  const mark = () => {
    const found = [];
    for (const f of frames) {
      const match = matching !== null && matching.test(f.name);
      f.group.classList.toggle("m", match);
      if (match && !found.some((g) => f.x >= g.x - 0.006 && f.x + f.w <= g.x + g.w + 0.006)) found.push(f);
    }
    const sum = found.reduce((all, f) => all + f.w, 0);
    info.textContent = matching === null ? usual : `${(100 * sum / width).toFixed(2)} % match ${matching.source}`;
    byId("search").textContent = matching === null ? "Search" : "Clear";
  };

  const search = () => {
    if (matching !== null) matching = null;
    else {
      const wanted = prompt("Names to find (a regular expression)", "");
      if (!wanted) return;
      try {
        matching = new RegExp(wanted);
      } catch {
        matching = new RegExp(wanted.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
      }
    }
    mark();
  };

  for (const f of frames) {
    f.group.addEventListener("click", () => zoom(f));
    f.group.addEventListener("mouseenter", () => { if (matching === null) info.textContent = `${f.name}: ${f.rest}`; });
    f.group.addEventListener("mouseleave", () => { if (matching === null) info.textContent = usual; });
  }
  byId("reset").addEventListener("click", () => zoom(frames[0]));
  byId("search").addEventListener("click", search);
  addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "f") {
      event.preventDefault();
      search();
    }
  });
})();
