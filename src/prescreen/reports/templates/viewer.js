// The large picture beside the baseline, with intervals, reasons, near-copies, and the keys that work on it.
const Viewer = (() => {
  const viewer = byId("viewer");
  let current = null;
  let goBack = Grid.focus;
  let walk = () => []; // gives the rows that the arrows walk through
  let sequence = [];

  const traitRow = (trait, t) => {
    const name = make("th", "trait", data.traits[t]);
    name.scope = "row";
    const interval = trait.low === null ? "–" : decimals(trait.low) + "–" + decimals(trait.high);
    const compared = data.compared ? [make("td", "wide", decimals(data.baseline[t])),
      make("td", direction(trait.change), signed(trait.change)), make("td", "", trait.chance ?? "–")] : [];
    return make("tr", "", name, make("td", "", decimals(trait.score)), make("td", "", interval),
      make("td", "wide drawn", bar(trait, data.baseline[t])), ...compared);
  };
  const thumb = (row, label) => {
    const button = make("button", row === current ? "current" : "");
    button.type = "button";
    button.setAttribute("aria-label", label + row.name);
    if (row.picture) {
      const image = make("img");
      image.alt = "";
      image.src = Pictures.thumbnail(row);
      button.append(image);
    } else button.append(row.name);
    button.addEventListener("click", () => show(row));
    return make("li", "", button);
  };

  const showPicture = async (row) => {
    const image = byId("viewer-picture");
    image.hidden = !row.picture;
    byId("viewer-none").hidden = row.picture;
    if (!row.picture) return;
    image.alt = "Candidate " + row.name;
    image.src = Pictures.thumbnail(row);
    const sharp = await Pictures.large(row).catch(() => image.src);
    if (row === current) image.src = sharp;
  };
  const showDecision = () => {
    if (!current) return;
    sequence = [...new Set([...sequence, ...walk()])]; // what moved up comes last; what left can be gone back to
    const place = sequence.indexOf(current);
    byId("previous").disabled = place <= 0;
    byId("next").disabled = place < 0 || place === sequence.length - 1;
    const checks = Proposal.free(current) ? [] : current.checks;
    byId("viewer-reasons").replaceChildren(...current.tags.concat(current.pareto ? ["best trade-off"] : [], Proposal.has(current) ? ["proposed"] : [], checks.map((check) => "excluded: " + check))
      .map((text) => make("li", "", text)));
    const { decision, tags } = Decisions.of(current);
    byId("viewer-keep").setAttribute("aria-pressed", decision === "keep");
    byId("viewer-reject").setAttribute("aria-pressed", decision === "reject");
    if (document.activeElement !== byId("viewer-tags")) byId("viewer-tags").value = tags.join(", ");
  };

  const show = (row) => {
    current = row;
    byId("viewer-name").textContent = row.name;
    byId("viewer-caption").textContent = row.failed ? "failed" : row.figure + " " + data.measure + ", rank " + row.rank;
    byId("viewer-why").textContent = row.why;
    byId("viewer-table").hidden = row.failed;
    byId("viewer-traits").replaceChildren(...row.traits.map(traitRow));
    const stack = stacks.get(row.stack);
    byId("viewer-stack").hidden = stack.length < 2;
    byId("viewer-copies").replaceChildren(...(stack.length < 2 ? [] : stack.map((copy) => thumb(copy, "Open "))));
    showPicture(row);
    byId("viewer-tags").blur();
    showDecision();
    if (!viewer.open) viewer.showModal();
  };
  const open = (row, through = Grid.visible, back = Grid.focus) => {
    [walk, goBack] = [through, back];
    sequence = [...walk()];
    show(row);
  };
  const step = (by) => {
    const row = sequence[sequence.indexOf(current) + by];
    if (row && sequence.includes(current)) show(row);
  };
  // Deciding moves on to the next picture; taking a decision back stays.
  const decide = (decision) => {
    const takenBack = Decisions.of(current).decision === decision;
    Decisions.decide(current, decision);
    if (!takenBack) step(1);
  };
  const readTags = () => {
    const tags = byId("viewer-tags").value.split(",").map((tag) => tag.trim()).filter(Boolean);
    Decisions.tag(current, [...new Set(tags)]);
  };

  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => viewer.close());
  byId("viewer-keep").addEventListener("click", () => decide("keep"));
  byId("viewer-reject").addEventListener("click", () => decide("reject"));
  byId("viewer-tags").addEventListener("change", readTags);
  viewer.addEventListener("click", (event) => {
    if (event.target === viewer) viewer.close();
  });
  viewer.addEventListener("close", () => goBack(current));
  viewer.addEventListener("keydown", (event) => {
    if (typing(event)) return;
    const keys = {
      ArrowLeft: () => step(-1), ArrowRight: () => step(1),
      k: () => decide("keep"), x: () => decide("reject"), u: () => Decisions.undo(current),
    };
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  Decisions.onChange(showDecision);
  return { open, isOpen: () => viewer.open };
})();
