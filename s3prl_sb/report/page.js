"use strict";
(() => {
  const root = document.documentElement;
  const all = (what, where) => [...(where || document).querySelectorAll(what)];
  const one = (id) => document.getElementById(id);
  const palette = JSON.parse(one("palette").textContent);
  const memory = {
    get: (key) => { try { return localStorage.getItem("s3prl-sb " + key); } catch { return null; } },
    set: (key, value) => { try { localStorage.setItem("s3prl-sb " + key, value); } catch { /* private */ } },
  };
  const say = (text) => { one("said").textContent = text; };
  if (one("tools")) one("tools").hidden = false;

  // Light, dark, or as the system has it.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const themes = { "": ["◐", "as the system"], light: ["☀", "light"], dark: ["☾", "dark"] };
  let printing = false; // on paper, charts are light and as wide as the paper
  const theme = () => printing ? "light" : root.dataset.theme || (dark.matches ? "dark" : "light");
  const wear = (name) => {
    if (!(name in themes)) name = "";
    if (name) root.dataset.theme = name; else delete root.dataset.theme;
    const button = one("theme");
    if (button) {
      button.textContent = themes[name][0];
      button.setAttribute("aria-label", "Colours: " + themes[name][1]);
      button.title = "Colours: " + themes[name][1];
    }
    redraw();
  };

  // Charts: drawn when they come into view.
  const drawn = new Map(); // figure -> the view of Vega
  const unmark = (value) => {
    const [name, number] = value.slice(8).split(":");
    const colors = palette[theme()];
    const found = Object.hasOwn(colors, name) ? colors[name] : value; // or a name from outside
    return number === undefined || !Array.isArray(found) ? found : found[Number(number) % found.length];
  };
  const themed = (value, key) => {
    if (key === "data" || key === "datasets") return value;
    if (typeof value === "string") return value.startsWith("palette:") ? unmark(value) : value;
    if (Array.isArray(value)) return value.map((each) => themed(each));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, themed(v, k)]));
    }
    return value;
  };
  const config = () => {
    const c = palette[theme()];
    const label = { labelColor: c.soft, titleColor: c.text, titleFontWeight: 500, labelFontSize: 11, titleFontSize: 12 };
    return {
      background: "transparent",
      font: "system-ui, sans-serif",
      autosize: { type: "fit-x", contains: "padding" },
      view: { stroke: c.line },
      axis: { ...label, gridColor: c.line, domainColor: c.soft, tickColor: c.soft, labelLimit: 160, labelSeparation: 4 },
      legend: { ...label, labelLimit: 220, orient: "top", columns: 3, symbolStrokeWidth: 2 },
      header: label,
      title: { color: c.text, fontSize: 12, subtitleColor: c.soft },
      mark: { color: c.accent },
      bar: { color: c.accent }, line: { color: c.accent, strokeWidth: 2 }, point: { color: c.accent, filled: true },
      rule: { color: c.soft }, text: { color: c.text }, tick: { color: c.accent }, area: { color: c.accent },
      range: { category: c.category, ramp: c.ramp, heatmap: c.ramp, diverging: c.diverging, ordinal: c.ramp },
    };
  };
  const specOf = (figure) => JSON.parse(figure.querySelector(':scope > script[type="application/json"]').textContent);
  const offer = (figure) => { // to save the drawing, for a paper
    if (figure.querySelector(".save")) return;
    const button = document.createElement("button");
    button.className = "save";
    button.type = "button";
    button.textContent = "Save SVG";
    const name = figure.querySelector("figcaption").textContent.trim();
    button.setAttribute("aria-label", "Save SVG: " + name);
    button.addEventListener("click", async () => {
      const svg = await drawn.get(figure).view.toSVG();
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
      link.download = (name.replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60) || "chart") + ".svg";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
    figure.querySelector(".drawing").after(button);
  };
  const draw = async (figure) => {
    if (!window.vegaEmbed || drawn.has(figure)) return;
    drawn.set(figure, null);
    const place = figure.querySelector(".drawing");
    try {
      const spec = themed(specOf(figure));
      const inner = document.createElement("div"); // the place itself has the text alternative
      inner.setAttribute("aria-hidden", "true");
      place.replaceChildren(inner);
      const inputs = document.createElement("div"); // of the chart's own choices
      inputs.className = "inputs";
      const chosen = all(":scope > .inputs :is(select, input)", figure).map((each) => each.value);
      figure.querySelector(":scope > .inputs")?.remove();
      place.before(inputs);
      const result = await vegaEmbed(inner, spec, {
        renderer: "svg", ast: true, config: config(), mode: "vega-lite",
        bind: inputs, actions: false, tooltip: { disableDefaultStyle: true }, logLevel: 1,
      });
      drawn.set(figure, result);
      all("select, input", inputs).forEach((each, i) => {
        if (chosen[i] === undefined || each.value === chosen[i]) return;
        each.value = chosen[i];
        for (const kind of ["input", "change"]) each.dispatchEvent(new Event(kind, { bubbles: true }));
      });
      place.classList.remove("is-waiting");
      offer(figure);
    } catch (error) {
      const text = document.createElement("p");
      text.className = "fault";
      text.textContent = "This chart could not be drawn: " + error.message;
      place.replaceChildren(text);
      place.classList.remove("is-waiting");
      console.error(error);
    }
  };
  const redraw = () => Promise.all([...drawn].map(([figure, result]) => {
    if (result) result.finalize();
    drawn.delete(figure);
    return draw(figure);
  }));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); draw(entry.target); }
  }, { rootMargin: "400px" });
  for (const figure of all("figure.chart")) {
    figure.querySelector(".drawing").classList.add("is-waiting");
    seen.observe(figure);
  }
  for (const data of all("figure.chart > details.data")) data.open = false; // open without scripts
  const drawAll = () => Promise.all(all("figure.chart").map(draw));

  // Tables: a click on a heading sorts; again, the other way.
  const keyOf = (row, column) => {
    const cell = row.children[column];
    if (!cell) return "";
    if (cell.dataset.sort !== undefined) return cell.dataset.sort;
    return cell.textContent.trim();
  };
  const numberOf = (text) => (text.trim() === "" ? NaN : Number(text));
  const compare = (a, b) => {
    const [x, y] = [numberOf(a), numberOf(b)];
    if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
    return a.localeCompare(b, "en", { numeric: true });
  };
  const sort = (button) => {
    const head = button.closest("th"), body = head.closest("table").tBodies[0];
    const column = [...head.parentNode.children].indexOf(head);
    const falls = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falls ? "descending" : "ascending");
    const groups = [];
    for (const row of [...body.rows]) {
      if (row.classList.contains("attached") && groups.length) groups[groups.length - 1].push(row);
      else groups.push([row]);
    }
    const keyed = groups.map((rows) => [keyOf(rows[0], column), rows]);
    const lacks = (key) => key === "" || key === "–";
    keyed.sort(([a], [b]) => {
      if (lacks(a) || lacks(b)) return lacks(a) - lacks(b); // always last
      return falls ? compare(b, a) : compare(a, b);
    });
    for (const [, rows] of keyed) body.append(...rows);
    say("Sorted by " + button.textContent + (falls ? ", falling" : ", rising"));
  };
  for (const button of all("table.sortable > thead button")) button.addEventListener("click", () => sort(button));

  // Filters, and the list of contents.
  const filter = () => {
    const wanted = { task: one("filter-task")?.value || "", upstream: one("filter-upstream")?.value || "" };
    let left = 0;
    for (const item of all("[data-task], [data-upstream]")) {
      const hides = ["task", "upstream"].some((kind) =>
        wanted[kind] && item.dataset[kind] !== undefined && item.dataset[kind] !== wanted[kind]);
      item.hidden = hides;
      if (!hides && item.matches("details.setup")) left += 1;
    }
    const setups = all("details.setup").length;
    one("nothing").hidden = !setups || left > 0;
    if (wanted.task || wanted.upstream) say(`${left} of ${setups} entries are shown`);
  };
  for (const id of ["filter-task", "filter-upstream"]) one(id)?.addEventListener("change", filter);
  for (const picks of all(".picks")) { // two of the setups of a task
    const pairs = [], selects = all("select", picks);
    for (let each = picks.nextElementSibling; each && !each.matches("h3"); each = each.nextElementSibling)
      pairs.push(...(each.dataset.pair ? [each] : all("tbody tr[data-pair]", each)));
    picks.hidden = false;
    const pick = () => {
      const wanted = selects.map((select) => select.value).filter(Boolean);
      for (const each of pairs) {
        const pair = each.dataset.pair.split(" ");
        each.classList.toggle("not-picked", !wanted.every((one) => pair.includes(one)));
      }
    };
    picks.addEventListener("change", () => {
      pick();
      const rows = pairs.filter((each) => each.tagName === "TR");
      say(`${rows.filter((row) => !row.matches(".not-picked")).length} of ${rows.length} rows are shown`);
    });
    pick();
  }
  const links = new Map(all("nav a").map((link) => [link.hash.slice(1), link]));
  const here = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const link = links.get(entry.target.id);
      if (!link || !entry.isIntersecting) continue;
      for (const other of links.values()) other.removeAttribute("aria-current");
      link.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-15% 0px -75% 0px" });
  for (const key of links.keys()) { const target = one(key); if (target) here.observe(target); }
  if (matchMedia("(max-width: 62rem)").matches && one("contents")) one("contents").open = false;

  // A link opens what it leads to.
  const arrive = () => {
    let id = "";
    try { id = decodeURIComponent(location.hash.slice(1)); } catch { return; }
    const target = id && one(id);
    if (!target) return;
    for (let each = target; each; each = each.parentElement) if (each.tagName === "DETAILS") each.open = true;
    for (const other of all(".shown")) other.classList.remove("shown");
    if (target.tagName === "DETAILS") {
      target.classList.add("shown");
      target.hidden = false;
      target.querySelector("summary").focus({ preventScroll: true });
    }
    target.scrollIntoView();
  };
  addEventListener("hashchange", arrive);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    if (link && link.hash === location.hash) arrive(); // the same place once more
  });

  // One sound at a time.
  document.addEventListener("play", (event) => {
    for (const other of all("audio")) if (other !== event.target) other.pause();
  }, true);

  // Print what is open, with the charts drawn for paper. Charts that could not be drawn
  // before, as from the menu of the browser, are tables.
  const isShown = (each) => each.checkVisibility();
  let opened = [];
  const forPaper = async () => {
    say("The charts are drawn for printing");
    root.classList.add("on-paper");
    printing = true;
    await redraw();
    await Promise.all(all("figure.chart").filter(isShown).map(draw));
    await Promise.all(all("main img").filter(isShown).map((image) => {
      image.loading = "eager"; // those that were never in view
      return image.decode().catch(() => {});
    }));
    print();
  };
  addEventListener("beforeprint", () => {
    if (printing) return;
    const isDark = theme() === "dark";
    for (const figure of all("figure.chart")) if (isDark || !drawn.get(figure)) figure.classList.add("as-table");
    opened = all(".as-table > details.data").filter((data) => !data.open);
    for (const data of opened) data.open = true;
  });
  addEventListener("afterprint", () => {
    for (const data of opened) data.open = false;
    for (const figure of all(".as-table")) figure.classList.remove("as-table");
    opened = [];
    root.classList.remove("on-paper");
    if (printing) { printing = false; redraw(); }
  });
  one("print")?.addEventListener("click", forPaper);
  addEventListener("keydown", (event) => {
    if (event.key !== "p" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
    event.preventDefault();
    forPaper();
  });
  one("open-all")?.addEventListener("click", () => {
    const groups = all("main details:not(.data)"), opens = groups.some((each) => !each.open);
    for (const each of groups) each.open = opens;
    one("open-all").textContent = opens ? "Close all" : "Open all";
    say(opens ? "Everything is open" : "Everything is closed");
  });

  // A page that is served follows its runs.
  let isBack = false; // after loading itself again, where the reader was
  const live = document.querySelector('meta[name="live"]');
  if (live && location.protocol.startsWith("http")) {
    const kept = (() => { try { return JSON.parse(sessionStorage.getItem("s3prl-sb place")); } catch { return null; } })();
    const address = (each) => each.id || (each.closest("[id]")?.id || "") + " " + each.querySelector("summary").textContent;
    const sorted = () => all("table.sortable").flatMap((table, i) => {
      const head = table.querySelector("[aria-sort]");
      return head ? [[i, [...head.parentNode.children].indexOf(head), head.getAttribute("aria-sort")]] : [];
    });
    if (kept) {
      isBack = true;
      sessionStorage.removeItem("s3prl-sb place");
      for (const each of all("details")) each.open = kept.open.includes(address(each));
      for (const [table, column, way] of kept.sorted) {
        const button = all("table.sortable")[table]?.tHead.rows[0].children[column]?.querySelector("button");
        if (button) { sort(button); if (way === "descending") sort(button); }
      }
      for (const [id, value] of Object.entries(kept.filters)) if (one(id)) one(id).value = value;
      filter();
      scrollTo({ top: kept.top, behavior: "instant" });
    }
    const fill = (jobs) => {
      const place = one("live-jobs");
      if (!place) return;
      place.replaceChildren(...jobs.map((job) => {
        const row = document.createElement("div");
        row.className = "job " + job.state;
        const state = document.createElement("b"), name = document.createElement("span"), line = document.createElement("small");
        state.textContent = job.state + (job.share === null ? "" : " " + job.share + " %");
        name.textContent = job.name;
        line.textContent = job.line;
        row.append(state, name, line);
        if (job.share !== null) {
          const bar = document.createElement("progress");
          bar.max = 100;
          bar.value = job.share;
          bar.setAttribute("aria-label", job.name);
          row.append(bar);
        }
        return row;
      }));
    };
    const isBusy = () => document.hidden || all("audio").some((each) => !each.paused) || !getSelection().isCollapsed;
    const poll = async () => {
      try {
        const answer = await (await fetch("status.json", { cache: "no-store" })).json();
        one("live-status").textContent = answer.text;
        fill(answer.jobs);
        if (answer.version !== live.content && !isBusy()) {
          const filters = Object.fromEntries(all(".tools select").map((each) => [each.id, each.value]));
          const open = all("details[open]").map(address);
          sessionStorage.setItem("s3prl-sb place", JSON.stringify({ open, filters, sorted: sorted(), top: scrollY }));
          location.reload();
          return;
        }
      } catch { one("live-status").textContent = "The server does not answer: this is the last page that it sent."; }
      setTimeout(poll, 2000);
    };
    poll();
  }

  one("theme")?.addEventListener("click", () => {
    const names = Object.keys(themes);
    const next = names[(names.indexOf(root.dataset.theme || "") + 1) % names.length];
    memory.set("theme", next);
    wear(next);
    say("Colours: " + themes[next][1]);
  });
  dark.addEventListener("change", redraw);
  wear(memory.get("theme") || "");
  if (!isBack) arrive();
  window.s3prlReport = { drawAll }; // for whoever prints without the button
})();
