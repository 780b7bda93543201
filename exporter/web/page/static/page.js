// Keeps an open page up to date. The page is whole without it: all that is shown comes from the server as HTML.
"use strict";

const EVERY = 15000; // ms between two looks while nothing is heard
const APART = 2000; // ms between two looks at least, however much happens
const AGAIN = 5000; // ms before a stream that was refused is asked for again

const main = document.getElementById("main");
const button = document.getElementById("live");
const words = document.getElementById("live-words");
const target = main.querySelector("[data-target]")?.dataset.target;

let live = true;
let stream = null;
let timer = 0;
let due = Infinity; // when the next look is
let last = Date.now();
let looking = false;
let fading = 0; // the timer of what was said and is no longer news
let waiting = false; // the reader has asked for another look meanwhile
let stale = false;

// --- bring what is shown up to date --------------------------------------------------------------------------------

// The next look comes no later for being asked for again: where much happens, it would never come.
function soon(wait) {
  const at = Math.max(Date.now() + wait, last + APART);
  if (at >= due) return;
  rest();
  due = at;
  timer = setTimeout(look, at - Date.now());
}

function rest() {
  clearTimeout(timer);
  due = Infinity;
}

async function look(asked = false) {
  rest();
  if ((!live || document.hidden) && !asked) return;
  if (!asked && !getSelection().isCollapsed) return soon(APART); // somebody is copying
  if (looking) {
    waiting ||= asked;
    return soon(APART);
  }
  looking = true;
  last = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { "X-Page-Refresh": "1" } });
    if (!answer.ok && answer.status !== 404) throw new Error(answer.statusText);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const focused = document.activeElement;
    document.title = fresh.title;
    morph(main, fresh.getElementById("main"));
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
    if (stale) say("");
  } catch {
    say(`no answer since ${clock(last)}: what is shown is older`, true);
  }
  looking = false;
  soon(EVERY);
  if (waiting) {
    waiting = false;
    look(true);
  }
}

// Make `old` like `fresh` with as few changes as can be: what is read, open or in focus stays where it is.
function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || key(old) !== key(fresh)) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.data = fresh.data;
    return;
  }
  if (old.nodeName === "INPUT" || old.nodeName === "SELECT" || old.id.endsWith("-words")) return; // the reader's own
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value && name !== "open") old.setAttribute(name, value);
  }
  const known = new Map([...old.childNodes].filter(key).map((node) => [key(node), node]));
  let place = old.firstChild;
  for (const node of [...fresh.childNodes]) {
    const same = key(node) ? known.get(key(node)) : place && !key(place) ? place : null;
    if (!same) {
      old.insertBefore(node, place);
      continue;
    }
    if (same === place) place = place.nextSibling;
    else old.insertBefore(same, place);
    morph(same, node);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function key(node) {
  return node.dataset?.key || node.id || "";
}

// --- hear what happens ---------------------------------------------------------------------------------------------

function listen() {
  if (stream || !live || document.hidden) return;
  const wanted = new URLSearchParams(target ? { kind: "run", target } : {});
  if (target) wanted.append("kind", "state");
  stream = new EventSource(`api/v1/events?${wanted}`);
  stream.addEventListener("open", () => {
    if (stale) soon(0);
  });
  stream.addEventListener("state", (event) => {
    const { target, from, to } = JSON.parse(event.data);
    say(`${target}: ${from} → ${to}`);
    soon(200);
  });
  for (const kind of ["run", "reset"]) stream.addEventListener(kind, () => soon(200));
  stream.addEventListener("error", () => {
    if (!stale) say(`not connected since ${clock()}`, true);
    if (stream?.readyState !== EventSource.CLOSED) return; // it comes back by itself
    hush();
    setTimeout(listen, AGAIN);
  });
}

function hush() {
  stream?.close();
  stream = null;
}

// `old`: what is shown may no longer be so, until the next look that succeeds.
function say(text, old = false) {
  stale = old;
  words.textContent = text;
  clearTimeout(fading);
  if (text && !old) fading = setTimeout(say, EVERY, "");
}

function clock(at = Date.now()) {
  return new Date(at).toLocaleTimeString([], { hour12: false });
}

button.addEventListener("click", () => {
  live = !live;
  button.setAttribute("aria-pressed", live);
  button.textContent = live ? "Live" : "Paused";
  if (live) {
    listen();
    look();
  } else {
    hush();
    rest();
    say(`as of ${clock()}`, true);
  }
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) hush();
  else if (live) {
    listen();
    soon(0);
  }
});

addEventListener("pagehide", hush);
addEventListener("pageshow", listen);

// --- find while typing ---------------------------------------------------------------------------------------------

const find = document.getElementById("find");
let typing = 0;

function filter() {
  const asked = new URLSearchParams([...new FormData(find)].filter(([, value]) => value.trim()));
  history.replaceState(null, "", asked.size ? `?${asked}` : "./");
  look(true);
}

find?.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(filter, 250);
});
find?.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(typing);
  filter();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || !find) return;
  if (["INPUT", "SELECT", "TEXTAREA"].includes(document.activeElement.nodeName)) return;
  event.preventDefault();
  find.elements.q.focus();
});

// --- probe now -----------------------------------------------------------------------------------------------------

document.getElementById("probe-now")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const told = document.getElementById("probe-words");
  told.textContent = "asking …";
  try {
    const answer = await fetch(`api/v1/targets/${encodeURIComponent(target)}/probe`, { method: "POST" });
    const said = await answer.json();
    told.textContent = answer.ok ? `asked: ${said.probes.join(", ")}` : said.error;
  } catch {
    told.textContent = "the exporter does not answer";
  }
  soon(500);
});

document.querySelector(".live").hidden = false;
listen();
soon(EVERY);
