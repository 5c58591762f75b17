"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const WORDS = { f: "failed", e: "not measured", b: "blocked", w: "warned", v: "waived", p: "passed", n: "not applicable" };
  const MOST_ROWS = 200;
  const groups = data.groups.map(([cells, names]) => ({ cells, names: names.split("\n") }));
  const column = new Map(data.columns.map((check, index) => [check, index]));
  const input = byId("filter");
  const buttons = [...document.querySelectorAll("#only button")];
  const cards = [...document.querySelectorAll("article.card")];
  const entries = [...document.querySelectorAll("table.checks tbody tr")];
  const matrix = byId("matrix");
  const written = matrix ? [...matrix.tBodies[0].rows] : [];
  const texts = new Map();
  let letters = "";

  // What a filter's words mean: a whole subject, such as node/n1, stands for itself alone.
  const known = new Set(Object.keys(data.others));
  for (const group of groups) for (const name of group.names) known.add("node/" + name);
  const lower = new Map([...known].map((subject) => [subject.toLowerCase(), subject]));
  const names = (word, subject) => lower.has(word) ? lower.get(word) === subject : subject.toLowerCase().includes(word);
  const textOf = (element) => {
    if (!texts.has(element)) texts.set(element, element.textContent.toLowerCase());
    return texts.get(element);
  };

  // Whether a check has one of `wanted` statuses ("" = any) of a subject that the word names.
  const concerns = (word, check, wanted) => {
    const at = column.get(check);
    const fits = (letter) => letter && letter !== "." && (!wanted || wanted.includes(letter));
    if (at !== undefined && groups.some((group) => fits(group.cells[at]) && group.names.some((name) => names(word, "node/" + name)))) return true;
    return Object.entries(data.others).some(([subject, found]) => fits(found[check]) && names(word, subject));
  };
  const checksOf = (element) => (element.dataset.checks || element.dataset.check || "").split(" ").filter(Boolean);
  const keeps = (element, words, wanted) => words.every((word) =>
    (!lower.has(word) && textOf(element).includes(word)) || checksOf(element).some((check) => concerns(word, check, wanted)));

  const cell = (letter, check) => {
    const made = document.createElement("td");
    made.className = letter === "." ? "u" : letter;
    const said = document.createElement("span");
    said.className = "vh";
    said.textContent = WORDS[letter] || "not judged";
    const card = cards.find((each) => each.dataset.check === check && each.dataset.s === letter);
    if (card) {
      const link = document.createElement("a");
      link.href = "#" + card.id;
      link.append(said);
      made.append(link);
    } else made.append(said);
    return made;
  };
  const rowOf = (group, found) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    if (found.length === 1) {
      const more = group.names.length - 1;
      head.textContent = found[0] + (more ? ` (and ${more.toLocaleString("en")} equal node${more === 1 ? "" : "s"})` : "");
    } else {
      const box = document.createElement("details");
      box.className = "names";
      const summary = document.createElement("summary");
      summary.textContent = `${found.length.toLocaleString("en")} nodes: ${found.slice(0, 2).join(", ")}${found.length > 2 ? ", ..." : ""}`;
      const every = document.createElement("p");
      every.tabIndex = 0;
      every.setAttribute("role", "group");
      every.setAttribute("aria-label", "names");
      every.textContent = found.join(", ");
      box.append(summary, every);
      head.append(box);
    }
    row.append(head, ...data.columns.map((check, index) => cell(group.cells[index], check)));
    return row;
  };
  const showColumns = (shown) => {
    for (const row of [matrix.tHead.rows[1], ...matrix.tBodies[0].rows])
      data.columns.forEach((_, index) => { row.cells[index + 1].hidden = !shown.has(index); });
    matrix.tHead.rows[0].hidden = shown.size < data.columns.length;
  };
  const filterMatrix = (words) => {
    if (!matrix) return "";
    const isCheck = (word) => data.columns.some((check) => check.toLowerCase().includes(word));
    const asked = words.filter(isCheck);
    const others = words.filter((word) => !isCheck(word));
    const shown = new Set(data.columns.keys());
    for (const index of [...shown]) if (!asked.every((word) => data.columns[index].toLowerCase().includes(word))) shown.delete(index);
    if (!words.length && !letters) {
      matrix.tBodies[0].replaceChildren(...written);
      showColumns(shown);
      return "";
    }
    const rows = [];
    let nodes = 0;
    for (const group of groups) {
      const found = others.length ? group.names.filter((name) => others.every((word) => names(word, "node/" + name))) : group.names;
      const fits = !letters || [...shown].some((index) => letters.includes(group.cells[index]));
      if (!found.length || !fits) continue;
      nodes += found.length;
      if (rows.length < MOST_ROWS) rows.push(rowOf(group, found));
    }
    matrix.tBodies[0].replaceChildren(...rows);
    showColumns(shown);
    return `${nodes.toLocaleString("en")} node${nodes === 1 ? "" : "s"}`;
  };

  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const card of cards) {
      const letter = card.dataset.s;
      card.hidden = !((!letters || letters.includes(letter)) && keeps(card, words, letter));
      found += card.hidden ? 0 : 1;
    }
    for (const title of document.querySelectorAll("#findings h3.part")) {
      let next = title.nextElementSibling;
      while (next && next.hidden && next.tagName === "ARTICLE") next = next.nextElementSibling;
      title.hidden = !next || next.tagName !== "ARTICLE";
    }
    for (const entry of entries)
      entry.hidden = !((!letters || [...entry.dataset.s].some((letter) => letters.includes(letter))) && keeps(entry, words, letters));
    for (const table of document.querySelectorAll("table.checks")) {
      const empty = [...table.tBodies[0].rows].every((row) => row.hidden);
      table.hidden = empty;
      table.previousElementSibling.hidden = empty;
    }
    const nodes = filterMatrix(words);
    const filtered = words.length || letters;
    byId("told").textContent = filtered ? [`${found} of ${cards.length} findings`, nodes].filter(Boolean).join(", ") : "";
    for (const button of buttons) button.setAttribute("aria-pressed", String(letters.includes(button.dataset.s)));
  };
  const remember = () => {
    const asked = new URLSearchParams();
    if (input.value) asked.set("q", input.value);
    if (letters) asked.set("only", letters);
    const text = asked.toString();
    history.replaceState(null, "", text ? "#?" + text : "#");
  };
  const setFilter = (text, only) => {
    input.value = text;
    letters = only;
    apply();
  };

  const show = (element) => {
    if (element.closest("[hidden]")) setFilter("", "");
    for (let box = element; box; box = box.parentElement) if (box.tagName === "DETAILS") box.open = true;
    const isFinding = element.matches("article, tr");
    const own = isFinding && element.querySelector(":scope > details, :scope > td > details");
    if (own) own.open = true;
    for (const old of document.querySelectorAll(".found")) old.classList.remove("found");
    if (element.tagName !== "SECTION") element.classList.add("found");
    const focus = (isFinding && element.querySelector("summary")) || element;
    if (focus === element && !element.hasAttribute("tabindex")) element.tabIndex = -1;
    focus.focus({ preventScroll: true });
    element.scrollIntoView({ block: "start" });
  };
  const cardOf = (check, subject) => {
    const at = column.get(check);
    const group = groups.find((each) => each.names.some((name) => "node/" + name === subject));
    const letter = group && at !== undefined ? group.cells[at] : (data.others[subject] || {})[check];
    return cards.find((card) => card.dataset.check === check && (!subject || card.dataset.s === letter))
      || cards.find((card) => checksOf(card).includes(check) && (!subject || card.dataset.s === letter));
  };
  const follow = () => {
    let wanted = location.hash.slice(1);
    try { wanted = decodeURIComponent(wanted); } catch { /* a lone % stands for itself */ }
    if (!wanted) return;
    if (wanted.startsWith("?")) {
      const asked = new URLSearchParams(location.hash.slice(2));
      setFilter(asked.get("q") || "", asked.get("only") || "");
      return;
    }
    if (known.has(wanted) && wanted.includes("/")) {
      setFilter(wanted, "");
      const target = matrix && wanted.startsWith("node/") ? byId("nodes") : byId("findings");
      target.scrollIntoView();
      return;
    }
    const [check, subject] = wanted.split("::");
    const element = (subject ? cardOf(check, subject) : byId(wanted)) || cardOf(check.split(".")[0], "") || byId("check." + check.split(".")[0]);
    if (!element) return;
    if (subject && known.has(subject)) setFilter(subject, "");
    show(element);
  };

  const move = (step) => {
    const shown = cards.filter((card) => !card.hidden);
    if (!shown.length) return;
    const at = shown.findIndex((card) => card.contains(document.activeElement));
    const next = at < 0 ? (step > 0 ? 0 : shown.length - 1) : Math.min(shown.length - 1, Math.max(0, at + step));
    const summary = shown[next].querySelector("summary");
    summary.focus({ preventScroll: true });
    shown[next].scrollIntoView({ block: "nearest" });
  };

  const THEMES = ["auto", "light", "dark"];
  const store = { get: () => { try { return localStorage.getItem("gapcheck-theme"); } catch { return null; } },
    set: (theme) => { try { localStorage.setItem("gapcheck-theme", theme); } catch { /* a file may have no store */ } } };
  const setTheme = (theme) => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    byId("theme").textContent = "theme: " + theme;
  };
  const nextTheme = () => {
    const theme = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme || "auto") + 1) % THEMES.length];
    setTheme(theme);
    store.set(theme);
  };

  const help = byId("help");
  const keys = {
    "/": () => { input.focus(); input.select(); },
    j: () => move(1), k: () => move(-1), t: nextTheme,
    "?": () => help.showModal(),
    Escape: () => { setFilter("", ""); remember(); },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    const typing = event.target === input;
    if (typing && event.key !== "Escape") return;
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
    if (typing) input.blur();
  });
  input.addEventListener("input", () => { apply(); remember(); });
  for (const button of buttons) button.addEventListener("click", () => {
    const own = button.dataset.s;
    letters = letters.includes(own) ? letters.replace(own, "") : letters + own;
    apply();
    remember();
  });
  byId("theme").addEventListener("click", nextTheme);
  byId("keys").addEventListener("click", keys["?"]);
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
  const folded = [];
  addEventListener("beforeprint", () => {
    for (const box of document.querySelectorAll("details:not([open]):not(.names):not(.checks details)")) {
      folded.push(box);
      box.open = true;
    }
  });
  addEventListener("afterprint", () => { for (const box of folded.splice(0)) box.open = false; });
  addEventListener("hashchange", follow);
  byId("tools").hidden = false;
  setTheme(THEMES.includes(store.get()) ? store.get() : "auto");
  follow();
  // Once it has loaded, the browser goes to the fragment itself, and takes the focus along.
  addEventListener("load", () => setTimeout(follow, 0));
})();
