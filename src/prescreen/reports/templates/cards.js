// The proposed pictures as cards, with the advice above them: drawn again when the proposal changes. And the keys that
// work before anything was clicked.
const Cards = (() => {
  const holder = byId("cards");
  const made = new Map(); // cards by row
  const typographic = (text) => text.replaceAll(" -", " −").replaceAll(" %", "\u00a0%");

  const traitItem = (trait, t) => {
    const level = data.baseline[t];
    const label = [`${data.traits[t]} ${decimals(trait.score)}`];
    if (trait.low !== null && trait.high !== null) label.push(`90 % interval ${decimals(trait.low)} to ${decimals(trait.high)}`);
    if (level !== null) label.push(`your current photo ${decimals(level)}`);
    const first = make("p", "", make("span", "trait", data.traits[t]), make("span", "score", decimals(trait.score)));
    if (trait.change !== null) first.append(make("span", "change " + direction(trait.change), signed(trait.change)));
    const last = make("p", "fine");
    if (trait.chance !== null) last.append(make("span", "", `${trait.chance} to ${data.roles[t] === "keep" ? "keep" : "beat"} it`));
    if (trait.low !== null && trait.high !== null) last.append(make("span", "", `${decimals(trait.low)}–${decimals(trait.high)}`));
    return make("li", "", first, bar(trait, level, label.join(", ")), last);
  };
  const makeCard = (row) => {
    const card = make("article", "card");
    card.row = row;
    const open = make("button", "open");
    open.type = "button";
    open.setAttribute("aria-label", "Open " + row.name);
    open.setAttribute("aria-keyshortcuts", "k x u");
    open.addEventListener("click", () => Viewer.open(row, Proposal.list, focus));
    const image = row.picture ? make("img", "photo") : make("span", "photo none", "no preview");
    if (row.picture) {
      image.alt = "Candidate " + row.name;
      image.src = Pictures.thumbnail(row);
    }
    open.append(image);
    const chance = make("p", "chance", make("strong", "", row.figure), " ", make("span", "", data.measure));
    const traits = make("ul", "traits", ...row.traits.map(traitItem));
    const acts = make("div", "decide");
    for (const [decided, label] of [["keep", "Keep"], ["reject", "Reject"]]) {
      const button = make("button", decided, label);
      button.type = "button";
      button.setAttribute("aria-label", label + " " + row.name);
      button.addEventListener("click", () => decide(row, decided));
      acts.append(button);
    }
    const title = make("div", "title", make("div", "named", make("h3", "", make("bdi", "", row.name)), acts), chance);
    if (row.excluded && !Proposal.free(row)) title.append(make("p", "note", "kept by you; excluded otherwise: " + row.excluded));
    card.append(make("div", "framed", open), title, traits);
    return card;
  };
  const cardOf = (row) => {
    if (!made.has(row)) made.set(row, makeCard(row));
    const kept = Decisions.of(row).decision === "keep";
    const card = made.get(row);
    card.classList.toggle("kept", kept);
    const button = card.querySelector(".keep");
    button.textContent = kept ? "✓ Kept" : "Keep";
    button.setAttribute("aria-pressed", kept);
    return card;
  };

  const update = () => {
    const list = Proposal.list();
    const advice = Proposal.advice();
    byId("headline").textContent = Proposal.headline();
    byId("verdict").textContent = typographic(Proposal.verdict());
    byId("shortlist").textContent = Proposal.title();
    byId("top").className = "page " + advice.verdict;
    if (byId("joint")) {
      const [chance, low, high] = [advice.chance, advice.low, advice.high].map((value) => typographic(percent(value)));
      byId("joint").hidden = advice.verdict === "unusable" || !advice.counted;
      byId("joint-chance").textContent = chance;
      byId("joint-range").textContent = low === chance && high === chance ? "" : `${low} to ${high}`;
      byId("joint-of").textContent = list.length > 1 ? "that at least one beats your current photo" : "that it beats your current photo";
    }
    if (byId("plan")) {
      byId("plan").hidden = Proposal.changed();
      byId("plan-again").hidden = !Proposal.changed();
    }
    const baseline = holder.querySelector(".baseline");
    holder.replaceChildren(...(baseline ? [baseline] : []), ...list.map(cardOf));
    document.querySelectorAll(".field svg").forEach((svg, t) => {
      svg.querySelectorAll(".pick").forEach((dot) => dot.remove());
      svg.append(...list.map((row) => draw("circle", { class: "pick", cx: Math.min(Math.max(10 * row.traits[t].score, 0), 100) + "%", cy: 77, r: 4.5 })));
      const told = svg.getAttribute("aria-label").split("; the proposed at")[0];
      svg.setAttribute("aria-label", told + (list.length ? "; the proposed at " + listed(list.map((row) => decimals(row.traits[t].score))) : ""));
    });
  };

  const cards = () => [...holder.querySelectorAll(".card")].filter((card) => card.row);
  const focus = (row) => (made.get(row)?.isConnected ? made.get(row) : cards()[0])?.querySelector(".open").focus();
  // The card of a picture that leaves makes room for the next: the keys go on there.
  const decide = (row, decision) => {
    const place = cards().findIndex((card) => card.row === row);
    const inside = made.get(row).contains(document.activeElement);
    if (decision) Decisions.decide(row, decision);
    else Decisions.undo(row);
    if (inside && !holder.contains(document.activeElement)) cards()[Math.min(place, cards().length - 1)]?.querySelector(".open").focus();
  };
  const acts = { k: (row) => decide(row, "keep"), x: (row) => decide(row, "reject"), u: (row) => decide(row, "") };
  const keyOf = (event) => (event.key.length === 1 ? event.key.toLowerCase() : event.key);
  holder.addEventListener("keydown", (event) => {
    const row = event.target.closest(".card")?.row;
    if (!row || typing(event)) return;
    const by = { ArrowLeft: -1, ArrowRight: 1 }[keyOf(event)];
    if (by) {
      const places = cards();
      places[Math.min(Math.max(places.findIndex((card) => card.row === row) + by, 0), places.length - 1)].querySelector(".open").focus();
    } else if (keyOf(event) in acts) acts[keyOf(event)](row);
    else return;
    event.preventDefault();
  });

  // Nothing is in focus: the keys work on the first card that is on the screen, or else on the first tile.
  const onScreen = (element) => {
    const box = element.getBoundingClientRect();
    return box.bottom > 80 && box.top < innerHeight - 80;
  };
  document.addEventListener("keydown", (event) => {
    const key = keyOf(event);
    if (event.defaultPrevented || typing(event) || Viewer.isOpen() || event.target.closest(".card, #grid, #scatter, .scroll")) return;
    if (!["k", "x", "u", "ArrowRight", "ArrowLeft"].includes(key)) return;
    const card = cards().find(onScreen);
    const target = card ? card.querySelector(".open") : Grid.firstOnScreen(onScreen);
    if (!target) return;
    target.focus({ preventScroll: true });
    event.preventDefault();
    if (key in acts) target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  });

  Proposal.onChange(update);
  return { update };
})();
