// Two traits against each other, the best trade-offs among the candidates that are shown, and the baseline as a cross.
const Scatter = (() => {
  const svg = byId("scatter");
  const tip = byId("scatter-tip");
  const size = { width: 720, height: 480, left: 44, right: 12, top: 12, bottom: 40 };
  svg.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);

  // Best on the horizontal trait first; each next one is higher on the vertical.
  const paretoFront = (points) => {
    let best = -Infinity;
    return [...points].sort((a, b) => b.x - a.x || b.y - a.y).filter((point) => point.y > best && ((best = point.y), true));
  };
  const span = (values) => {
    const low = Math.max(0, Math.floor(Math.min(...values)));
    const high = Math.min(10, Math.ceil(Math.max(...values)));
    return low < high ? [low, high] : [Math.max(0, low - 1), Math.min(10, high + 1)];
  };

  const update = () => {
    const [across, up] = [Number(byId("across").value), Number(byId("up").value)];
    const [levelX, levelY] = [data.baseline[across], data.baseline[up]];
    const points = Grid.visible().filter((row) => !row.failed)
      .map((row) => ({ row, x: row.traits[across].score, y: row.traits[up].score }));
    if (points.length === 0) { svg.replaceChildren(); return; }
    const [lowX, highX] = span(points.map((p) => p.x).concat(levelX ?? []));
    const [lowY, highY] = span(points.map((p) => p.y).concat(levelY ?? []));
    const placeX = (x) => size.left + (x - lowX) / (highX - lowX) * (size.width - size.left - size.right);
    const placeY = (y) => size.height - size.bottom - (y - lowY) / (highY - lowY) * (size.height - size.top - size.bottom);

    const parts = [];
    const text = (x, y, anchor, words) => {
      parts.push(draw("text", { x, y, "text-anchor": anchor, "aria-hidden": "true" }, words));
    };
    for (let x = lowX; x <= highX; x += 1) {
      parts.push(draw("line", { class: "axis", x1: placeX(x), x2: placeX(x), y1: size.top, y2: size.height - size.bottom }));
      text(placeX(x), size.height - size.bottom + 16, "middle", String(x));
    }
    for (let y = lowY; y <= highY; y += 1) {
      parts.push(draw("line", { class: "axis", x1: size.left, x2: size.width - size.right, y1: placeY(y), y2: placeY(y) }));
      text(size.left - 8, placeY(y) + 4, "end", String(y));
    }
    text((size.left + size.width) / 2, size.height - 4, "middle", data.traits[across]);
    parts.push(draw("text", { transform: `translate(12 ${size.height / 2}) rotate(-90)`, "text-anchor": "middle", "aria-hidden": "true" }, data.traits[up]));
    if (levelX !== null) parts.push(draw("line", { class: "tick", x1: placeX(levelX), x2: placeX(levelX), y1: size.top, y2: size.height - size.bottom }));
    if (levelY !== null) parts.push(draw("line", { class: "tick", x1: size.left, x2: size.width - size.right, y1: placeY(levelY), y2: placeY(levelY) }));

    const front = paretoFront(points);
    const onFront = new Set(front.map((point) => point.row));
    const path = front.map((point, i) => (i ? `H${placeX(point.x)}V${placeY(point.y)}` : `M${placeX(point.x)} ${placeY(point.y)}`)).join("");
    parts.push(draw("path", { class: "front", d: path }));
    const dot = (point) => {
      const { row } = point;
      const kind = [onFront.has(row) && "front", Proposal.has(row) && "pick", Decisions.of(row).decision].filter(Boolean).join(" ");
      const made = draw("circle", { class: "dot " + kind, cx: placeX(point.x), cy: placeY(point.y), r: kind ? 5.5 : 3.5 });
      made.row = row;
      if (onFront.has(row)) {
        made.setAttribute("role", "button");
        made.setAttribute("tabindex", row === front[0].row ? 0 : -1);
        made.setAttribute("aria-label", `${row.name}: ${data.traits[across]} ${decimals(point.x)}, ${data.traits[up]} ${decimals(point.y)}, ${row.figure} ${data.measure}`);
      }
      return made;
    };
    const important = (point) => onFront.has(point.row) || Proposal.has(point.row) || Decisions.of(point.row).decision === "keep";
    parts.push(...points.filter((point) => !important(point)).map(dot));
    parts.push(...points.filter((point) => important(point) && !onFront.has(point.row)).map(dot), ...front.map(dot));
    svg.replaceChildren(...parts);
    tip.hidden = true;
  };

  const show = (event) => {
    const { row } = event.target;
    tip.hidden = !row;
    if (!row) return;
    const box = event.target.getBoundingClientRect();
    const frame = svg.parentElement.getBoundingClientRect();
    const image = make("img");
    image.alt = "";
    if (row.picture) image.src = Pictures.thumbnail(row);
    tip.replaceChildren(...(row.picture ? [image] : []), make("bdi", "", row.name), make("span", "", row.figure));
    tip.style.left = Math.min(Math.max(box.left - frame.left - 50, 0), frame.width - 130) + "px";
    tip.style.top = box.top - frame.top + (box.top - frame.top > 200 ? -180 : 20) + "px";
  };
  svg.addEventListener("pointerover", show);
  svg.addEventListener("focusin", show);
  svg.addEventListener("focusout", () => { tip.hidden = true; });
  svg.addEventListener("pointerleave", () => { tip.hidden = true; });
  svg.addEventListener("click", (event) => { if (event.target.row) Viewer.open(event.target.row); });
  svg.addEventListener("keydown", (event) => {
    if (!event.target.row || typing(event)) return;
    const front = [...svg.querySelectorAll("[role=button]")];
    const by = { ArrowLeft: 1, ArrowUp: 1, ArrowRight: -1, ArrowDown: -1 }[event.key]; // the front runs from right to left
    if (event.key === "Enter" || event.key === " ") Viewer.open(event.target.row);
    else if (by) front[front.indexOf(event.target) + by]?.focus();
    else return;
    event.preventDefault();
  });
  byId("axes").addEventListener("input", update);
  byId("axes").addEventListener("submit", (event) => event.preventDefault());
  Grid.onUpdate(update);
  Decisions.onChange((row) => { if (row) update(); });
  if (data.traits.length > 1) byId("scatter-section").hidden = false;
  return { update };
})();
