// What the page gains with JavaScript: live figures, dialogs, copying. Without it, all of it works.
"use strict";

(() => {
  const now = document.body.dataset.now;
  const every_ms = 2500;
  // What glance.py calls the steps and phases of a round, and what the page was made from.
  const given = (name) => JSON.parse(document.body.dataset[name] || "null");
  const words = given("steps") || {}, phases = given("phases") || [];
  const count = (value) => typeof value === "number" ? value.toLocaleString("en") : "–";
  const say = (node, text) => { if (node && node.textContent !== text) node.textContent = text; };

  // -- times ---------------------------------------------------------------------------------
  function ago(text) {
    const passed = (Date.now() - Date.parse(text)) / 1000;
    if (!(passed >= 45)) return "just now";
    if (passed < 5400) return `${Math.max(1, Math.round(passed / 60))} min ago`;
    if (passed < 129600) return `${Math.round(passed / 3600)} h ago`;
    if (passed < 1209600) return `${Math.round(passed / 86400)} days ago`;
    return `on ${text.slice(0, 10)}`;
  }
  function age() {
    for (const node of document.querySelectorAll("time[data-ago]")) say(node, ago(node.dateTime));
  }

  // -- what moves while one looks ------------------------------------------------------------
  // As glance.parts() has them.
  function parts(counts) {
    const of = (name) => counts[name] || 0;
    const found = {
      labelled: Math.max(0, of("labelled") - of("auto") - of("partly")), partly: of("partly"),
      auto: of("auto"), pool: of("pool"), held: Math.max(0, of("waiting") - of("pool")),
      skipped: of("skipped"),
    };
    const sum = Object.values(found).reduce((a, b) => a + b, 0);
    return { ...found, other: Math.max(0, of("slices") - sum) };
  }
  function showCounts(counts) {
    const found = parts(counts);
    const total = Object.values(found).reduce((a, b) => a + b, 0) || 1;
    let left = 0;
    for (const rect of document.querySelectorAll(".counts [data-part]")) {
      const width = 100 * (found[rect.dataset.part] || 0) / total;
      rect.setAttribute("x", `${left}%`);
      rect.setAttribute("width", `${width}%`);
      left += width;
    }
    for (const node of document.querySelectorAll("[data-count]")) say(node, count(found[node.dataset.count]));
    const by_hand = typeof counts.labelled === "number" ? counts.labelled - (counts.auto || 0) : null;
    for (const node of document.querySelectorAll("[data-by-hand]")) {
      // A budget is spent by the first reader of a slice; the slice is done when the last has read.
      const lacking = node.dataset.byHand === "done" ? counts.lacking || 0 : 0;
      say(node, count(by_hand === null ? null : by_hand - lacking));
    }
  }
  function showRound(round) {
    if (!round || round.job_status !== "started") return;
    const at = Math.max(0, phases.findIndex(([, , steps]) => steps.includes(round.step)));
    phases.forEach(([name], index) => {
      const item = document.querySelector(`[data-phase="${name}"]`);
      if (!item) return;
      const bar = item.querySelector("progress");
      item.className = index < at ? "done" : index === at ? "now" : "ahead";
      const measured = index !== at || round.step === name || round.step === "further";
      if (!measured || (index === at && !round.total)) bar.removeAttribute("value");
      else bar.value = index < at ? 1 : index > at ? 0 : Math.min(1, round.done / round.total);
    });
    const far = round.total ? `: ${count(round.done)} of ${count(round.total)}` : "";
    say(document.querySelector("[data-round-says]"), (words[round.step] || round.step || "Beginning") + far);
  }
  function showRest(rest) {
    if (!rest) return;
    const bar = document.querySelector("progress[data-rest]");
    if (bar) { bar.max = rest.total || 1; bar.value = rest.done || 0; }
    say(document.querySelector("[data-rest-says]"), `${count(rest.done)} of ${count(rest.total)} slices`);
  }

  // What decides how the page is built; if it changes, its panels are taken anew from the server.
  const shape = (panel) => JSON.stringify([
    panel.round && [panel.round.job_status, panel.round.version, panel.round.error, panel.round.waits],
    panel.next.map((slice) => [slice.task, slice.picture]), panel.rest && panel.rest.state, panel.paused,
    panel.others, // a digest of the panels that are not asked for here
    panel.rollback && [panel.rollback.state, panel.rollback.version, panel.rollback.error],
    panel.trouble, panel.counts.labelled, (panel.problems || []).map((problem) => problem.task_id),
    Object.entries(parts(panel.counts)).filter(([, n]) => n > 0).map(([name]) => name),
    panel.workers.map((worker) => [worker.name, worker.doing, worker.silent_s > 120]),
  ]);
  // Whether all of it could be renewed.
  async function renew() {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    if (!answer.ok) return false;
    let whole = true;
    // Marks of this script's own must not count as differences.
    for (const box of document.querySelectorAll(".scroll.more")) box.classList.remove("more");
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const old of document.querySelectorAll("[data-live][id]")) {
      const made = fresh.getElementById(old.id);
      // Never under somebody's hands: what holds the focus or an open form stays as it is.
      if (!made || old.innerHTML === made.innerHTML) continue;
      if (old.contains(document.activeElement)) { whole = false; continue; }
      if (old.id === "actions" && old.querySelector("form[data-touched]")) continue;
      const open = [...old.querySelectorAll("details[open][id]")].map((node) => node.id);
      for (const id of open) made.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
      const scrolled = [...old.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
      old.replaceWith(document.adoptNode(made));
      made.querySelectorAll(".scroll").forEach((box, index) => { box.scrollLeft = scrolled[index] || 0; });
    }
    age();
    fade();
    return whole;
  }

  // What happens between the making of the page and the first look at it is a change, too.
  const first = given("shown");
  let tag = "", last = first && shape(first), failures = 0, whole = true;
  async function look() {
    if (document.hidden) return true;
    const headers = tag ? { "If-None-Match": tag } : {};
    const answer = await fetch(now, { headers, credentials: "same-origin", cache: "no-store" });
    const state = document.querySelector("[data-link-state]");
    if ([401, 403, 404].includes(answer.status)) {
      say(state, answer.status === 401 ? " · signed out: load the page again" : " · no longer shown here");
      return false;
    }
    failures = answer.ok || answer.status === 304 ? 0 : failures + 1;
    say(state, failures > 2 ? " · no answer, still trying" : "");
    if (!answer.ok && answer.status !== 304) return true;
    let shown = last;
    if (answer.ok) {
      tag = answer.headers.get("ETag") || "";
      const panel = await answer.json();
      showCounts(panel.counts);
      showRound(panel.round);
      showRest(panel.rest);
      shown = shape(panel);
    }
    // What was under somebody's hands is still of before, also when nothing newer comes.
    const free = !document.activeElement?.closest("[data-live]");
    if (shown !== last || (!whole && free)) {
      last = shown;
      whole = false; // until it is: a page that does not come now is asked for again
      whole = await renew();
    }
    return true;
  }
  async function watch() {
    let goes_on = true;
    try {
      goes_on = await look();
    } catch {
      failures += 1;
      if (failures > 2) say(document.querySelector("[data-link-state]"), " · no answer, still trying");
    }
    if (goes_on) setTimeout(watch, document.hidden ? 4 * every_ms : every_ms * Math.min(8, 1 + failures));
  }

  // -- dialogs: the confirm page, without leaving this one -------------------------------------
  const dialog = document.getElementById("dialog");
  async function ask(address) {
    const answer = await fetch(address, { credentials: "same-origin" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const form = page.getElementById("confirm-form");
    if (!answer.ok || !form) { location.assign(address); return; }
    dialog.replaceChildren(document.adoptNode(form));
    dialog.showModal();
  }
  if (dialog && typeof dialog.showModal === "function") {
    document.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-dialog]");
      if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
        event.preventDefault();
        ask(link.href).catch(() => location.assign(link.href));
      } else if (event.target.closest("dialog [data-close]") || event.target === dialog) {
        event.preventDefault();
        dialog.close();
      }
    });
    document.addEventListener("submit", (event) => {
      const form = event.target.closest("form[data-dialog]");
      if (!form) {
        for (const button of event.target.querySelectorAll("button")) setTimeout(() => { button.disabled = true; });
        return;
      }
      event.preventDefault();
      const address = `${form.action}?${new URLSearchParams(new FormData(form))}`;
      ask(address).catch(() => location.assign(address));
    });
    document.addEventListener("input", (event) => {
      event.target.closest("form[data-dialog]")?.setAttribute("data-touched", "");
    });
  }

  // -- small things --------------------------------------------------------------------------
  // Boxes that can be scrolled to the right fade out there.
  function fade() {
    for (const box of document.querySelectorAll(".scroll")) {
      box.classList.toggle("more", box.scrollWidth - box.clientWidth - box.scrollLeft > 4);
    }
  }
  document.addEventListener("scroll", (event) => { if (event.target !== document) fade(); }, { capture: true, passive: true });
  document.addEventListener("toggle", fade, { capture: true });
  addEventListener("resize", fade, { passive: true });
  fade();
  for (const input of document.querySelectorAll("input[data-copy]")) {
    input.value = new URL(input.value, location.href).href;
    input.addEventListener("focus", () => input.select());
    if (!navigator.clipboard) continue;
    const button = Object.assign(document.createElement("button"), { type: "button", className: "button small", textContent: "Copy" });
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(input.value);
      button.textContent = "Copied";
    });
    input.after(button);
  }
  if ("IntersectionObserver" in window) {
    const links = new Map([...document.querySelectorAll(".sections a")].map((link) => [link.hash.slice(1), link]));
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const link = links.get(entry.target.id);
        if (!entry.isIntersecting || !link) continue;
        for (const other of links.values()) other.removeAttribute("aria-current");
        link.setAttribute("aria-current", "true");
      }
    }, { rootMargin: "-20% 0px -70% 0px" });
    const follow = () => { seen.disconnect(); for (const id of links.keys()) { const node = document.getElementById(id); if (node) seen.observe(node); } };
    follow();
    new MutationObserver(follow).observe(document.querySelector(".panels") || document.body, { childList: true });
  }
  setInterval(age, 30000);
  if (now) setTimeout(watch, every_ms);
})();
