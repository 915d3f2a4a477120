// Puts findings on the page as they come. Without it, the page is as it was when it was loaded.
"use strict";
(() => {
  const MOST = 200;
  const by = (id) => document.getElementById(id);
  const list = by("live");
  const state = by("live-state");
  const missed = by("live-missed");
  const pause = by("live-pause");
  const waiting = [];
  let paused = false;
  let lost = 0;
  let broke = false;

  const say = (text) => {
    state.textContent = text;
    state.hidden = false;
  };

  const miss = (what) => {
    missed.textContent = `${what} Load the page again, or look at the findings, for the rest.`;
    missed.hidden = false;
  };

  const entry = (id) => [...list.children].find((one) => one.dataset.id === id);

  // What stands between backticks is a name.
  const prose = (text) =>
    text.split("`").map((part, number) => {
      if (number % 2 === 0) return part;
      const [code, name] = ["code", "bdi"].map((tag) => document.createElement(tag));
      name.textContent = part;
      code.append(name);
      return code;
    });

  const show = (finding) => {
    entry(finding.id)?.remove();
    by("live-none")?.remove();
    const one = by("live-one").content.cloneNode(true).firstElementChild;
    one.dataset.id = finding.id;
    const fill = (name, text) => {
      const at = one.querySelector(`[data-fill="${name}"]`);
      at.textContent = text;
      return at;
    };
    fill("severity", finding.severity).classList.add(`s-${finding.severity}`);
    fill("rule", finding.rule).href = `/findings?rule=${encodeURIComponent(finding.rule)}`;
    fill("confidence", finding.confidence);
    fill("at", finding.at ?? "time not known");
    if (finding.at) one.querySelector("time").dateTime = finding.at;
    fill("message", "").append(...prose(finding.message));
    fill("caller", finding.caller ?? "outside");
    fill("service", finding.service);
    fill("operation", finding.operation);
    const hop = one.querySelector('[data-fill="hop"]');
    if (finding.trace_id) hop.href = `/traces/${finding.trace_id}${finding.span_id ? `#s-${finding.span_id}` : ""}`;
    else hop.closest("p").remove();
    list.prepend(one);
    while (list.children.length > MOST) list.lastElementChild.remove();
  };

  const retract = (id) => {
    const one = entry(id);
    if (!one || one.classList.contains("retracted")) return;
    one.classList.add("retracted");
    const word = document.createElement("span");
    word.className = "state";
    word.textContent = "retracted";
    one.querySelector(".confidence").after(" ", word);
  };

  const take = (what) => {
    if (!paused) return what();
    waiting.push(what);
    if (waiting.length > MOST) waiting.shift();
    say(`Paused; ${waiting.length === MOST ? "many" : waiting.length} waiting.`);
  };

  const events = new EventSource("/live/events");
  events.addEventListener("open", () => {
    if (broke) miss("The connection was lost for a while.");
    broke = false;
    if (!paused) say("Watching.");
  });
  events.addEventListener("error", () => {
    broke = true;
    say(events.readyState === EventSource.CLOSED ? "As many watch already as may, or the service is gone. Load the page again later." : "Connection lost; trying again.");
  });
  events.addEventListener("finding", (event) => take(() => show(JSON.parse(event.data))));
  events.addEventListener("retracted", (event) => take(() => retract(JSON.parse(event.data))));
  events.addEventListener("missed", (event) => {
    lost += JSON.parse(event.data);
    miss(`${lost} came too fast to be shown here.`);
  });

  by("live-still").hidden = true;
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    if (paused) return say("Paused.");
    waiting.splice(0).forEach((what) => what());
    say("Watching.");
  });
  say("Connecting.");
})();
