// Keep, reject and tags: kept in the browser, or saved by the server where there is one.
const Decisions = (() => {
  const key = "prescreen:" + data.id;
  const listeners = [];
  let state = {}; // by name: { decision: "keep" | "reject" | "", tags: [text] }
  const of = (row) => state[row.name] ?? { decision: "", tags: [] };
  const saved = (text, failed = false) => {
    byId("saved").textContent = text;
    byId("saved").classList.toggle("loss", failed);
  };

  const put = async (row) => {
    const answer = await fetch("/decisions/" + row.index, {
      method: "PUT",
      headers: { Authorization: "Bearer " + token, "Content-Type": "application/json" },
      body: JSON.stringify(of(row)),
    });
    if (!answer.ok) throw new Error(await answer.text());
  };
  const waiting = new Set(); // of rows that the server does not have yet as they are
  let sending = false;
  // One request at a time: of two on the way, the older could arrive last and win.
  const send = async () => {
    if (sending) return;
    sending = true;
    const failed = [];
    for (const row of waiting) { // also those that are decided meanwhile
      waiting.delete(row);
      await put(row).catch(() => failed.push(row));
    }
    failed.forEach((row) => waiting.add(row)); // sent again with the next decision
    sending = false;
    saved(failed.length ? "not saved: is prescreen review still running?" : "saved", failed.length > 0);
  };
  const save = (row) => {
    if (token) {
      waiting.add(row);
      send();
      return;
    }
    try {
      localStorage.setItem(key, JSON.stringify(state));
      saved("kept in this browser");
    } catch {
      saved("this browser keeps nothing: export before you close", true);
    }
  };
  let last = null;
  const set = (row, changes) => {
    if ("decision" in changes) last = changes.decision ? row : null;
    state[row.name] = { ...of(row), ...changes };
    for (const listener of listeners) listener(row);
    save(row);
  };
  const decide = (row, decision) => {
    const next = of(row).decision === decision ? "" : decision;
    set(row, { decision: next });
    say(row.name + (next === "keep" ? " kept" : next === "reject" ? " rejected" : " undecided"));
  };
  // Takes back what was decided about a picture, or else the last decision.
  const undo = (row) => {
    const back = of(row).decision ? row : last;
    if (back) decide(back, of(back).decision);
  };
  const load = async () => {
    const found = Object.create(null);
    for (const [name, decision] of Object.entries(data.decided)) found[name] = { decision, tags: [] };
    try {
      const stored = token
        ? await (await fetch("/decisions", { headers: { Authorization: "Bearer " + token } })).json()
        : JSON.parse(localStorage.getItem(key) ?? "{}");
      if (token) for (const name of Object.keys(found)) delete found[name];
      for (const row of rows) {
        if (Object.hasOwn(stored, row.name)) found[row.name] = stored[row.name];
      }
    } catch {
      saved(token ? "decisions cannot be read" : "", true);
    }
    state = found;
    for (const listener of listeners) listener(null);
  };
  return {
    of, decide, undo, load,
    tag: (row, tags) => set(row, { tags }),
    tags: (row) => [...row.tags, ...of(row).tags],
    kept: () => rows.filter((row) => of(row).decision === "keep"),
    rejected: () => rows.filter((row) => of(row).decision === "reject"),
    onChange: (listener) => listeners.push(listener),
  };
})();
