// Brings the page to life: it asks again when the report has changed, shows times in the reader's
// zone, and says so when it no longer knows. Without it the page is the report of one moment.
"use strict";

(() => {
  const live = document.getElementById("live");
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

  // --- Times ---

  const two = (number) => String(number).padStart(2, "0");
  const local = (date) =>
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;

  function duration(ms) {
    const seconds = Math.max(0, Math.floor(ms / 1000));
    if (seconds < 60) return `${seconds} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
    if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
    return `${Math.floor(seconds / 86400)} days`;
  }

  // The sidecar's clock, as far as we know it: its last word, and how long ago that came.
  let word = { at: Number(document.getElementById("report").dataset.at), heard: performance.now() };
  const now = () => word.at + (performance.now() - word.heard);

  function localise(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const date = new Date(time.dateTime);
      if (!Number.isNaN(date.valueOf())) time.textContent = local(date);
    }
    const name = root.querySelector("#zone");
    if (name) name.textContent = zone;
  }

  function age(root) {
    for (const ago of root.querySelectorAll(".ago")) {
      const text = `${duration(now() - Number(ago.dataset.then))} ago`;
      if (ago.textContent !== text) ago.textContent = text;
    }
  }

  // --- Whether we know ---

  function say(state, text, time) {
    live.dataset.state = state;
    live.textContent = text;
    if (time !== undefined) {
      const date = new Date(time);
      const element = document.createElement("time");
      element.dateTime = date.toISOString();
      element.title = `${element.dateTime.replace("T", " ").replace("Z", "")} UTC`;
      element.textContent = local(date);
      live.append(" ", element);
    }
    document.body.toggleAttribute("data-cut", state === "cut");
  }

  // --- What is asked again ---

  const kept = {
    beforeNodeMorphed(old, fresh) {
      // What somebody is in the middle of stays as it is, and so does what has not changed.
      if (old.nodeType !== Node.ELEMENT_NODE) return true;
      if (old.matches("form") && old.dataset.touched) return false;
      if (old.matches("[popover]") && old.matches(":popover-open")) return false;
      if (old === document.activeElement && old.matches("input")) return false;
      if (old.matches(".cells") && old.outerHTML === fresh.outerHTML) return false;
      return true;
    },
    beforeAttributeUpdated(name, node) {
      // What somebody has opened stays open.
      return !(name === "open" && node.matches("details"));
    },
    beforeNodeRemoved(node) {
      return !(node.nodeType === Node.ELEMENT_NODE && node.matches("button.copier"));
    },
  };

  function show(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const report = fresh.getElementById("report");
    if (!report) throw new Error("the answer is no page of ours");
    word = { at: Number(report.dataset.at), heard: performance.now() };
    localise(fresh);
    point(null);
    document.title = fresh.title;
    Idiomorph.morph(document.getElementById("report"), report, { callbacks: kept });
    prepare();
  }

  let asking = false;
  let again = false;
  let notBefore = 0;

  // One question at a time, and none so soon that asking would be a load.
  async function refresh() {
    if (asking || document.hidden) {
      again = !document.hidden;
      return;
    }
    asking = true;
    const wait = notBefore - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    if (document.hidden) {
      asking = again = false;
      return;
    }
    const began = performance.now();
    try {
      const answer = await fetch(location.pathname + location.search, { cache: "no-store" });
      if (!answer.ok) throw new Error(`${answer.status}`);
      show(await answer.text());
      say("live", "live");
    } catch {
      cut();
    }
    notBefore = performance.now() + Math.max(1000, 4 * (performance.now() - began));
    asking = false;
    if (again) {
      again = false;
      refresh();
    }
  }

  // --- Being told ---

  let events = null;
  let silence = 0;
  let retry = 0;

  function cut() {
    stop();
    if (document.hidden) return;
    say("cut", "connection lost; this is of", word.at);
    clearTimeout(retry);
    retry = setTimeout(start, 2000);
  }

  function heard() {
    clearTimeout(silence);
    // A word comes every five seconds; two that do not come are a connection that is gone.
    silence = setTimeout(cut, 12000);
  }

  function start() {
    stop();
    if (document.hidden) return;
    events = new EventSource("/v1/events");
    events.addEventListener("changed", () => {
      heard();
      refresh();
    });
    events.addEventListener("alive", (event) => {
      heard();
      word = { at: JSON.parse(event.data).at, heard: performance.now() };
      if (live.dataset.state !== "live") refresh();
    });
    events.addEventListener("error", cut);
    heard();
  }

  function stop() {
    clearTimeout(silence);
    clearTimeout(retry);
    if (events) events.close();
    events = null;
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      stop();
      say("paused", "paused; this is of", word.at);
    } else {
      start();
    }
  });

  // --- The grid ---

  let pointed = null;

  function partition(cell) {
    const cells = cell.closest(".cells[data-stream]");
    if (!cells) return null;
    const index = Array.prototype.indexOf.call(cells.children, cell);
    const { view, stream, labels } = cells.dataset;
    return { view, stream, label: labels ? JSON.parse(labels)[index] : String(index), cell };
  }

  function point(cell) {
    if (pointed) pointed.classList.remove("at");
    pointed = cell;
    const line = document.querySelector(".pointed");
    if (!line) return;
    const place = cell && partition(cell);
    if (!place) {
      line.textContent = "\u00a0";
      return;
    }
    const counts = cell.getAttribute("aria-label") || `partition ${place.label}`;
    line.textContent = `${place.stream} (${place.view}), ${counts}`;
  }

  function follow(cell) {
    const place = partition(cell);
    if (!place) return;
    const { view, stream, label } = place;
    location.search = new URLSearchParams({ view, stream, partition: label }).toString();
  }

  const isCell = (node) => node instanceof Element && node.matches(".cells > :is(i, a)");

  document.addEventListener("pointerover", (event) => {
    if (isCell(event.target)) point(event.target);
    else if (pointed && document.activeElement !== pointed) point(null);
  });
  document.addEventListener("focusin", (event) => {
    if (isCell(event.target)) {
      point(event.target);
      event.target.classList.add("at");
    }
  });
  document.addEventListener("click", (event) => {
    if (isCell(event.target) && event.target.matches("i")) follow(event.target);
  });

  // Arrow keys go from finding to finding, and the tab key past them all.
  document.addEventListener("keydown", (event) => {
    if (!isCell(event.target)) return;
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const all = [...document.querySelectorAll(".grid .cells a")];
    const next = all[all.indexOf(event.target) + step];
    if (!next) return;
    event.preventDefault();
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });

  // --- Forms and copying ---

  function prepare() {
    const cells = [...document.querySelectorAll(".grid .cells a")];
    const current = cells.includes(document.activeElement) ? document.activeElement : cells[0];
    for (const cell of cells) cell.tabIndex = cell === current ? 0 : -1;
    for (const pre of document.querySelectorAll(".copy pre")) {
      if (pre.nextElementSibling) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "copier";
      button.textContent = "Copy";
      pre.after(button);
    }
    const name = localStorage.getItem("lacuna-by");
    for (const by of document.querySelectorAll(".acknowledge [name=by]")) {
      if (name && !by.value && by !== document.activeElement) by.value = name;
    }
    age(document);
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest && event.target.closest("button.copier");
    if (!button) return;
    const pre = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(pre.textContent);
      button.textContent = "Copied";
    } catch {
      // Browsers keep the clipboard from pages that came without TLS.
      getSelection().selectAllChildren(pre);
      button.textContent = "Selected: copy it with the keyboard";
    }
  });

  document.addEventListener("input", (event) => {
    const form = event.target.closest("form");
    if (form) form.dataset.touched = "yes";
  });

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (form.method !== "post") {
      // What is left empty is no filter, and need not stand in the address.
      for (const input of form.elements) if (input.value === "") input.disabled = true;
      return;
    }
    event.preventDefault();
    const body = new URLSearchParams(new FormData(form));
    if (body.get("by")) localStorage.setItem("lacuna-by", body.get("by"));
    const says = form.querySelector(".answer");
    says.textContent = "";
    try {
      const answer = await fetch(form.action, { method: "POST", body });
      if (!answer.ok) throw new Error((await answer.json()).detail);
      delete form.dataset.touched;
      const asked = form.closest("[popover]");
      if (asked) asked.hidePopover();
      notBefore = 0;
      show(await answer.text());
    } catch (error) {
      says.textContent = `This was not done: ${error.message}`;
    }
  });

  localise(document);
  prepare();
  setInterval(() => {
    if (!document.hidden && live.dataset.state === "live") age(document);
  }, 1000);
  if (document.hidden) say("paused", "paused; this is of", word.at);
  else start();
})();
