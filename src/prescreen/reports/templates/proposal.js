// The pictures that are proposed, chosen again at every decision, with the chance that at least one of them beats the
// current photo. Draws, rule and sentences are those of prescreen.ranking.selection and prescreen.ranking.stopping.
const percent = (chance) => {
  if (chance < 0.005) return "under 1 %";
  if (chance >= 0.995) return "over 99 %";
  const [whole, rest] = [Math.floor(100 * chance), (100 * chance) % 1];
  return (rest > 0.5 || (rest === 0.5 && whole % 2) ? whole + 1 : whole) + " %"; // halves go to the even one, as in Python
};
const listed = (names) => (names.length > 1 ? names.slice(0, -1).join(", ") + " and " + names.at(-1) : names.join(""));

const Draws = (() => {
  const given = data.choice.draws;
  if (!given) return null;
  const bytes = Uint8Array.from(atob(given.met), (letter) => letter.charCodeAt(0));
  const width = given.weights.length * given.each / 8;
  const met = data.choice.rows.map((_, place) => bytes.subarray(place * width, (place + 1) * width));
  const ones = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll("0", "").length);
  const part = given.each / 8; // bytes of one model
  const byModel = (bits) => given.weights.map((_, model) => {
    let count = 0;
    for (let at = model * part; at < (model + 1) * part; at += 1) count += ones[bits[at]];
    return count / given.each;
  });
  const mean = (shares) => shares.reduce((sum, share, model) => sum + share * given.weights[model], 0);
  const any = (places) => {
    const found = new Uint8Array(width);
    for (const place of places) for (let at = 0; at < width; at += 1) found[at] |= met[place][at];
    return found;
  };
  const quantile = (shares, q) => {
    const order = shares.map((_, model) => model).sort((a, b) => shares[a] - shares[b]);
    const total = given.weights.reduce((sum, weight) => sum + weight, 0);
    let reached = 0;
    return shares[order.find((model) => (reached += given.weights[model]) / total >= q - 1e-12) ?? order.at(-1)];
  };

  const chance = (places) => {
    const shares = byModel(any(places));
    const whole = mean(shares);
    return { chance: whole, low: Math.min(quantile(shares, 0.05), whole), high: Math.max(quantile(shares, 0.95), whole) };
  };
  const alone = met.map((bits) => mean(byModel(bits)));
  const choose = (count, free) => {
    const [chosen, left, gained] = [[], new Uint8Array(width).fill(255), new Uint8Array(width)];
    const open = [...free];
    while (chosen.length < count && open.length) {
      let [best, highest] = [-1, -1];
      for (const place of open) {
        for (let at = 0; at < width; at += 1) gained[at] = met[place][at] & left[at];
        // Of gains that differ by less than they are known, that of the better picture is taken.
        const gain = Math.round((mean(byModel(gained)) + given.known * alone[place]) * 1e12);
        if (gain > highest) [best, highest] = [place, gain];
      }
      for (let at = 0; at < width; at += 1) left[at] &= ~met[best][at];
      chosen.push(best);
      open.splice(open.indexOf(best), 1);
    }
    return chosen;
  };
  return { chance, choose };
})();

const Proposal = (() => {
  const { choice, texts } = data;
  const contenders = choice.rows.map((index) => rows[index]);
  const placeOf = new Map(contenders.map((row, place) => [row, place]));
  const byMerit = (a, b) => (b.merit ?? -1) - (a.merit ?? -1) || (placeOf.get(a) ?? 1e9) - (placeOf.get(b) ?? 1e9) || a.index - b.index;
  const listeners = [];
  const start = rows.filter((row) => row.selected);
  let [list, free, advice] = [start, new Set(), null];

  const decided = (row) => Decisions.of(row).decision;
  // A near-copy is left out while the better one is in; what the user rejected makes room for it.
  const available = () => {
    const found = [];
    contenders.forEach((row, place) => {
      found[place] = !choice.doubtful[place] && decided(row) !== "reject" && !choice.copies[place].some((better) => found[better]);
    });
    return contenders.map((_, place) => place).filter((place) => found[place]);
  };
  const verdictOf = (count, counted, { chance, high }) => {
    if (texts.unusable) return "unusable";
    if (!data.compared) return "ranked";
    if (!count) return "keep";
    if (!counted) return "unclear";
    if (high < texts.keepBelow) return "keep";
    return chance >= texts.testFrom ? "test" : "unclear";
  };

  const update = () => {
    const places = available();
    free = new Set(places.map((place) => contenders[place]));
    const chosen = choice.together && Draws ? Draws.choose(choice.count, places) : places.slice(0, choice.count);
    const proposed = chosen.map((place) => contenders[place]);
    const kept = Decisions.kept().filter((row) => !row.failed);
    list = [...new Set([...proposed, ...kept])].sort(byMerit);
    const known = list.map((row) => placeOf.get(row)).filter((place) => place !== undefined);
    const counted = Draws !== null && known.length > 0;
    const sum = counted ? Draws.chance(known) : { chance: 0, low: 0, high: 0 };
    advice = {
      ...sum,
      counted,
      verdict: verdictOf(list.length, counted, sum),
      uncounted: data.compared && !texts.unusable ? list.filter((row) => !placeOf.has(row)) : [],
      missing: Math.max(0, choice.count - proposed.length),
    };
    for (const listener of listeners) listener();
  };

  const fill = (text, values) => Object.entries(values).reduce((filled, [name, value]) => filled.split("{" + name + "}").join(value), text);
  const range = () => {
    const [chance, low, high] = [advice.chance, advice.low, advice.high].map(percent);
    return low === chance && high === chance ? chance : `${chance} (${low} to ${high})`;
  };
  const headline = () => {
    const kind = ["test", "ranked"].includes(advice.verdict) && !list.length ? "none" : advice.verdict;
    let names = listed(list.map((row) => row.name));
    if (names.length > texts.most) names = fill(texts.below[list.length > 1 ? 1 : 0], { n: list.length });
    return texts.headlines[kind].split("{names}").join(names);
  };
  const verdict = () => {
    if (texts.unusable) return texts.unusable;
    if (advice.uncounted.length && !advice.counted) return fill(texts.uncounted, { names: listed(advice.uncounted.map((row) => row.name)) });
    const said = fill(texts.advice[advice.verdict][Math.min(list.length, 2)], { n: list.length, chance: range() });
    const more = [];
    if (data.compared && list.length) {
      const chances = list.map((row) => row.p);
      const [least, most] = [percent(Math.min(...chances)), percent(Math.max(...chances))];
      more.push(texts.means);
      if (list.length > 1) more.push(fill(texts.alone, { span: least === most ? most : least.replace(/ %$/, "") + " to " + most }));
      if ([...free].some((row) => !list.includes(row) && row.p > Math.min(...chances))) more.push(texts.together);
    }
    if (advice.uncounted.length) more.push(`Not in that chance, since they were not among the best: ${listed(advice.uncounted.map((row) => row.name))}; prescreen rank --decisions counts them.`);
    if (advice.missing && Decisions.rejected().length) more.push("Of the best candidates none is left to move up: prescreen rank --decisions chooses among the others.");
    return [said, ...more].join(" ");
  };

  Decisions.onChange(update);
  const title = () => texts.titles[list.length || advice.verdict === "ranked" ? advice.verdict : "alone"];
  return {
    list: () => list, title, has: (row) => list.includes(row), free: (row) => free.has(row), verdict, headline,
    advice: () => advice, changed: () => list.length !== start.length || list.some((row) => !start.includes(row)),
    kept: () => list.filter((row) => decided(row) === "keep"), onChange: (listener) => listeners.push(listener),
  };
})();
