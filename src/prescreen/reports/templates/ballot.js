// The ballot: one picture at a time, or two, and an answer to each question. Answers are kept in the browser as they are
// given, sent where a server collects them, and leave as a file in any case.
// It runs from Safari 14, Chrome 80 and Firefox 78 on; in older browsers the text that it takes away here stays.
byId("unable").hidden = true;
const data = JSON.parse(byId("ballot").textContent);
const holders = document.getElementsByClassName("picture");
const pictures = new Map(data.images.map((image, place) => [image, holders[place].textContent]));
const questions = [...document.getElementsByClassName("question")].map((question) => [...question.getElementsByTagName("button")]);
const paired = data.pairs !== null;
const what = paired ? "pair" : "picture";
// A server's ballot is the same after a restart, with more pictures perhaps; a file is another one if anything differs.
const key = "prescreen-ballot:" + (data.served ? location.pathname + JSON.stringify(data.traits) + (paired ? what : "") : data.id);
const KEYS = paired ? [["1", "ArrowLeft", "ArrowUp"], ["2", "ArrowRight", "ArrowDown"]] : [["1"], ["2"], ["3"], ["4"]];
const PAUSE = 220; // milliseconds for the eye, between the last answer and the next picture
const has = (votes, item) => Object.prototype.hasOwnProperty.call(votes, item);
// An item is what is asked about at once: the name of a picture, or as JSON those of two, the left one first.
const imagesOf = (item) => (paired ? JSON.parse(item) : [item]);
const shows = (item) => imagesOf(item).every((image) => pictures.has(image));
const number = (count, noun) => count + " " + noun + (count === 1 ? "" : "s");

// {rater, order: [item], votes: {item: [answer or null for each trait]}, filed: the file as it was last taken}
// An answer is the number of a button: 0 to 3, or of two pictures 0 for the left one, 1 for the right one.
let state = null;
let kept = true; // whether the browser keeps it
let left = false; // whether the browser keeps another rater's by now
const keep = () => {
  if (left) return;
  try {
    localStorage.setItem(key, JSON.stringify(state));
    kept = true;
  } catch { // no storage, or it is full
    kept = false;
  }
};
const recall = () => {
  try {
    const found = JSON.parse(localStorage.getItem(key));
    const sound = typeof found?.rater === "string" && Array.isArray(found.order) && found.votes instanceof Object
      && Object.values(found.votes).every((votes) => votes?.length === data.traits.length);
    if (!sound) return null;
    const added = data.each === null && !paired ? data.images.filter((image) => !found.order.includes(image)) : [];
    return { ...found, order: [...found.order.filter(shows), ...added] };
  } catch {
    return null;
  }
};

const votesOf = (item) => (has(state.votes, item) ? state.votes[item] : data.traits.map(() => null));
const voted = () => (paired ? Object.keys(state.votes).filter(shows) : data.images.filter((image) => has(state.votes, image)));
const complete = (item) => !votesOf(item).includes(null);
const open = () => state.order.filter((item) => !complete(item));

// An order that the rater's name decides (Fisher-Yates, numbers from mulberry32 seeded with FNV-1a).
const shuffled = (images, text) => {
  let seed = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) seed = Math.imul(seed ^ byte, 0x01000193);
  const random = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  const order = [...images];
  for (let last = order.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
};
// Pairs on circles that the rater's name decides: all pictures are seen about as often as each other, at any point, and on
// the left as often as on the right. The circles of some raters connect all pictures.
const pairsOn = (images, count, text) => {
  const pairs = new Map();
  for (let round = 0; pairs.size < count && round < 1000; round += 1) {
    const circle = shuffled(images, text + " " + round);
    const last = circle.length - 1;
    const places = [...circle.keys()].sort((one, other) => (one === last) - (other === last) || one % 2 - other % 2);
    for (const place of places) {
      const pair = [circle[place], circle[place === last ? 0 : place + 1]];
      const known = JSON.stringify([...pair].sort());
      if (pairs.size < count && !pairs.has(known)) pairs.set(known, JSON.stringify(pair));
    }
  }
  return [...pairs.values()];
};
// Letters and digits only, and some by chance: two raters of one name are still two.
const raterOf = (name) => {
  const letters = "abcdefghjkmnpqrstuvwxyz23456789";
  const chance = [...crypto.getRandomValues(new Uint8Array(6))].map((byte) => letters[byte % letters.length]).join("");
  const plain = name.normalize("NFC").replace(/[^\p{L}\p{M}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "");
  return (plain || "rater") + "-" + chance;
};

// The server's side, where there is one: all answers since the last time go in one request, and again until it took them.
const Post = (() => {
  const waiting = new Set();
  let busy = false;
  let wait = 1000;
  let timer = 0;
  const listeners = [];
  const tell = () => listeners.forEach((listener) => listener());
  const byTrait = (item) => Object.fromEntries(votesOf(item).map((vote, trait) => [data.traits[trait], vote]).filter(([, vote]) => vote !== null));
  const send = async () => {
    clearTimeout(timer);
    if (busy || !waiting.size) return;
    busy = true;
    const now = [...waiting].slice(0, 200); // of very many votes, so many that the server takes them
    now.forEach((item) => waiting.delete(item));
    try {
      const answer = await fetch("votes", {
        method: "PUT",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ rater: state.rater, votes: Object.fromEntries(now.map((item) => [item, byTrait(item)])) }),
        signal: AbortSignal.timeout?.(20000),
      });
      if (!answer.ok) throw new Error(String(answer.status));
      wait = 1000;
    } catch {
      now.forEach((item) => waiting.add(item));
      wait = Math.min(2 * wait, 30000);
    }
    busy = false;
    if (waiting.size) timer = setTimeout(send, wait === 1000 ? 0 : wait);
    tell();
  };
  addEventListener("online", send);
  return {
    send,
    add: (...items) => { items.forEach((item) => waiting.add(item)); send(); },
    done: () => !busy && waiting.size === 0,
    failing: () => wait > 1000,
    counts: () => fetch("counts", { signal: AbortSignal.timeout?.(5000) }).then((answer) => (answer.ok ? answer.json() : {})).catch(() => ({})),
    onChange: (listener) => listeners.push(listener),
  };
})();

const begin = async (name) => {
  const rater = raterOf(name);
  let order = shuffled(data.images, rater);
  if (data.served) { // those that have fewest answers first
    const counts = await Post.counts();
    order.sort((one, other) => (counts[one] ?? 0) - (counts[other] ?? 0));
  }
  order = paired ? pairsOn(order.slice(0, 2 * data.pairs), data.pairs, rater) : order.slice(0, data.each ?? order.length);
  state = { rater, order, votes: {}, filed: "" };
  keep();
};

const show = (name) => {
  for (const part of ["start", "vote", "end"]) byId(part).hidden = part !== name;
  scrollTo(0, 0);
};

const Voting = (() => {
  const photos = [...byId("photos").getElementsByTagName("img")];
  let place = 0;
  let locked = false; // a second tap that was meant for the last picture
  const current = () => state.order[place];
  const asked = () => votesOf(current()).indexOf(null);

  const focusShown = () => {
    try {
      return document.activeElement?.matches("#questions :focus-visible");
    } catch { // Safari before 15.4 knows no :focus-visible
      return false;
    }
  };

  const draw = () => {
    const votes = votesOf(current());
    questions.forEach((buttons, trait) => {
      buttons.forEach((button, answer) => button.setAttribute("aria-pressed", String(votes[trait] === answer)));
      buttons[0].closest(".question").classList.toggle("asked", trait === asked());
    });
    const finished = state.order.length - open().length;
    byId("bar").setAttribute("aria-valuenow", finished);
    byId("bar").firstElementChild.style.transform = `scaleX(${finished / state.order.length})`;
    byId("place").textContent = (place + 1) + " of " + state.order.length;
    byId("next").lastElementChild.textContent = complete(current()) ? "Next" : "Skip";
    byId("back").disabled = place === 0;
    tell();
  };
  const tell = () => {
    const text = data.served && Post.failing() ? "not sent yet, trying again"
      : kept ? ""
      : data.served ? "not kept by this browser: do not reload this page" : "not kept by this browser: save the file before you close it";
    byId("state").textContent = text;
    byId("state").classList.toggle("loss", text !== "");
  };
  const to = (next) => {
    if (next >= state.order.length) {
      End.open();
      return;
    }
    place = Math.max(next, 0);
    const typed = focusShown();
    const called = `${paired ? "Pair" : "Picture"} ${place + 1} of ${state.order.length}`;
    imagesOf(current()).forEach((image, side) => {
      photos[side].src = pictures.get(image);
      photos[side].alt = paired ? called + ", " + (side ? "right" : "left") : called;
    });
    draw();
    scrollTo(0, 0);
    byId("questions").scrollTop = 0;
    if (typed) questions[0][0].focus();
    say(called);
    const ahead = state.order[place + 1]; // decoded by the time it is its turn
    if (ahead !== undefined) imagesOf(ahead).forEach((image) => { new Image().src = pictures.get(image); });
  };
  const answer = (trait, value) => {
    if (locked) return;
    const before = complete(current());
    const votes = [...votesOf(current())];
    votes[trait] = value;
    state.votes[current()] = votes;
    keep();
    if (data.served) Post.add(current());
    draw();
    if (before || !complete(current())) return;
    locked = true;
    setTimeout(() => { to(place + 1); setTimeout(() => { locked = false; }, PAUSE); }, PAUSE);
  };

  byId("bar").setAttribute("aria-valuemax", 1);
  questions.forEach((buttons, trait) => buttons.forEach((button, value) => button.addEventListener("click", () => answer(trait, value))));
  byId("back").addEventListener("click", () => { if (!locked) to(place - 1); });
  byId("next").addEventListener("click", () => { if (!locked) to(place + 1); });
  byId("finish").addEventListener("click", () => End.open());
  photos.forEach((photo) => photo.addEventListener("error", () => { // without the picture, an answer says nothing about it
    show("");
    byId("unable").hidden = false;
  }));
  if (paired) {
    // One above the other where that shows more of them: on a narrow screen, landscape formats above all.
    const arrange = () => {
      const box = byId("photos").getBoundingClientRect();
      const seen = (width, height) => photos.reduce((sum, photo) => {
        const scale = Math.min(width / photo.naturalWidth, height / photo.naturalHeight) || 0;
        return sum + scale * scale * photo.naturalWidth * photo.naturalHeight;
      }, 0);
      byId("vote").classList.toggle("stacked", seen(box.width, box.height / 2) > seen(box.width / 2, box.height));
    };
    addEventListener("resize", arrange);
    photos.forEach((photo, side) => {
      photo.addEventListener("load", arrange);
      photo.addEventListener("click", () => { if (asked() >= 0) answer(asked(), side); });
    });
  }
  addEventListener("keydown", (event) => {
    if (byId("vote").hidden || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const value = KEYS.findIndex((keys) => keys.includes(event.key));
    if (value >= 0) {
      const focused = questions.findIndex((buttons) => buttons.includes(document.activeElement));
      if (asked() >= 0 || focused >= 0) answer(asked() >= 0 ? asked() : focused, value);
    } else if (event.key === "Backspace" || (event.key === "ArrowLeft" && !paired)) byId("back").click();
    else if (event.key === (paired ? "0" : "ArrowRight")) byId("next").click();
    else return;
    event.preventDefault();
  });
  Post.onChange(tell);
  return {
    // What is the first without all answers, or the very first.
    open: (first = null) => {
      byId("bar").setAttribute("aria-valuemax", state.order.length);
      show("vote");
      to(first ?? Math.max(state.order.findIndex((item) => !complete(item)), 0));
    },
  };
})();

const End = (() => {
  const name = () => {
    const now = new Date();
    const two = (part) => String(part).padStart(2, "0");
    const stamp = [now.getFullYear(), now.getMonth() + 1, now.getDate()].map(two).join("") + "-" + two(now.getHours()) + two(now.getMinutes());
    return `votes-${state.rater}-${stamp}.csv`;
  };
  const csv = () => {
    const lines = [paired ? ["better", "worse", "side", "trait", "rater"] : ["image", "trait", "vote", "rater"]];
    for (const item of voted()) {
      const images = imagesOf(item);
      votesOf(item).forEach((vote, trait) => {
        if (vote === null) return;
        const said = paired ? [images[vote], images[1 - vote], vote ? "right" : "left", data.traits[trait]] : [item, data.traits[trait], vote];
        lines.push([...said, state.rater]);
      });
    }
    return csvText(lines);
  };
  const file = () => new File([csv()], byId("file-name").textContent, { type: "text/csv" });
  const safe = () => (data.served ? Post.done() : voted().length > 0 && state.filed === csv());
  const filed = () => {
    state.filed = csv();
    keep();
    draw();
  };
  const draw = () => {
    if (!state) return;
    const left = open().length;
    const count = state.order.length;
    byId("done").textContent = left === 0 ? `You answered for ${count === 1 ? "the " + what : "all " + count + " " + what + "s"}.`
      : `You answered for ${count - left} of ${number(count, what)}.`;
    byId("more").hidden = left === 0;
    byId("more").textContent = left === 1 ? "Answer for the last one" : `Go on with the other ${left}`;
    byId("file").hidden = voted().length === 0;
    byId("change").hidden = voted().length === 0;
    byId("other").hidden = !safe();
    if (data.served) {
      byId("sent").hidden = false;
      byId("sent").classList.toggle("well", Post.done());
      byId("sent").textContent = Post.done() ? "All your answers have arrived. You can close this page."
        : "Some answers have not arrived yet. Keep this page open: it tries again by itself. Or save the file below.";
      if (Post.done()) byId("file").hidden = true;
    }
  };
  const canShare = () => {
    try {
      return Boolean(navigator.canShare?.({ files: [file()] }));
    } catch {
      return false;
    }
  };

  byId("save").addEventListener("click", () => { download(file(), byId("file-name").textContent); filed(); say("saved"); });
  byId("share").addEventListener("click", async () => {
    try {
      await navigator.share({ files: [file()] });
      filed();
    } catch (error) {
      if (error.name !== "AbortError") byId("text").open = true;
    }
  });
  byId("copy").addEventListener("click", async () => {
    byId("csv").select();
    try {
      await navigator.clipboard.writeText(byId("csv").value);
    } catch { // not on pages without encryption
      if (!document.execCommand("copy")) return;
    }
    byId("copy").textContent = "Copied";
    filed();
  });
  byId("more").addEventListener("click", () => Voting.open());
  byId("change").addEventListener("click", () => Voting.open(0));
  byId("other").addEventListener("click", () => {
    state = null;
    try { localStorage.removeItem(key); } catch { /* it kept nothing */ }
    Start.open();
  });
  Post.onChange(draw);
  return {
    draw,
    open: () => {
      byId("file-name").textContent = name();
      byId("csv").value = csv();
      byId("copy").textContent = "Copy";
      byId("share").hidden = !canShare();
      byId("save").classList.toggle("main", byId("share").hidden);
      draw();
      show("end");
    },
    safe,
  };
})();

const Start = (() => {
  const count = paired ? data.pairs : Math.min(data.each ?? pictures.size, pictures.size);
  byId("count").textContent = number(count, what);
  byId("enter").addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = byId("enter").querySelector("button");
    if (button.disabled) return;
    button.disabled = true; // one person is one rater, however often they press
    if (!state) await begin(byId("name").value);
    button.disabled = false;
    Voting.open();
  });
  return { open: () => { byId("name").value = ""; show("start"); } };
})();

addEventListener("beforeunload", (event) => {
  const alone = !kept || (left && data.served); // only this page has the answers
  if (state && voted().length && alone && !End.safe()) event.preventDefault();
});

// The same page in another tab: it goes on with this rater's answers, or somebody else answers there. Then this one begins
// again, after its own answers have arrived.
addEventListener("storage", (event) => {
  if (!state || left || event.key !== key) return;
  const found = recall();
  if (found?.rater === state.rater) {
    state = found;
    return;
  }
  left = true;
  show("");
  const again = () => { if (!data.served || Post.done()) location.reload(); };
  Post.onChange(again);
  again();
});

state = recall();
if (state) {
  keep();
  if (data.served) Post.add(...voted());
  if (open().length) Voting.open();
  else End.open();
} else Start.open();
