"use strict";
// Draws what the server sends and sends what the user asks; see server.py for the protocol.
// Text from the robot only ever goes through textContent.

const byId = (id) => document.getElementById(id);
const answers = byId("answers");
const panels = {};
let socket = null;
let retryMs = 500;
let nextId = 1;
let marks = [];
const pending = new Map();

for (const figure of document.querySelectorAll("figure")) {
  const [picture, overlay] = figure.querySelectorAll("canvas");
  panels[figure.id] = { figure, picture, overlay, width: 0, height: 0 };
  overlay.addEventListener("click", (event) => measure(figure.id, event));
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(`${scheme}//${location.host}/socket`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { retryMs = 500; };
  socket.onmessage = (event) =>
    typeof event.data === "string" ? onText(JSON.parse(event.data)) : onPicture(event.data);
  socket.onclose = (event) => {
    const reason = event.reason ? `: ${event.reason}` : "";
    setStatus(2, `the server of this page does not answer${reason}; trying again ...`);
    for (const [id, item] of pending) finish(id, item, { status: "ERROR", message: "the connection was lost" });
    setTimeout(connect, retryMs);
    retryMs = Math.min(retryMs * 2, 5000);
  };
}

const send = (message) => {
  if (!socket || socket.readyState !== WebSocket.OPEN) return false;
  socket.send(JSON.stringify(message));
  return true;
};

let drawing = Promise.resolve();

function onText(message) {
  if (message.type === "status") showStatus(message);
  else if (message.type === "objects") showObjects(message.objects);
  else if (message.type === "batch") drawing.then(() => send({ type: "ready" }));
  else if (message.type === "problem") showEmpty(message.panel, message.text);
  else if (message.type === "answer" || message.type === "distance") {
    const item = pending.get(message.id);
    if (item) finish(message.id, item, message);
  } else if (message.type === "progress") {
    const item = pending.get(message.id);
    if (item) follow(item, message);
  } else if (message.type === "error") byId("hint").textContent = message.text;
}

function onPicture(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const blob = new Blob([new Uint8Array(buffer, 4 + length)], { type: "image/jpeg" });
  drawing = drawing.then(() => createImageBitmap(blob)).then((bitmap) => draw(header, bitmap))
    .catch((error) => showEmpty(header.panel, String(error)));
}

function draw(header, bitmap) {
  const panel = panels[header.panel];
  panel.width = header.width;
  panel.height = header.height;
  for (const canvas of [panel.picture, panel.overlay]) {
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
      canvas.parentElement.style.aspectRatio = `${bitmap.width} / ${bitmap.height}`;
    }
  }
  panel.picture.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  panel.figure.querySelector(".empty").hidden = true;
  panel.figure.querySelector(".empty").style.display = "none";
  panel.figure.dataset.pictures = Number(panel.figure.dataset.pictures || 0) + 1;
  const facts = panel.figure.querySelector(".facts");
  const old = header.age > 2;
  facts.classList.toggle("old", old);
  const age = header.age < 3600 && header.age > -3600 ? `${header.age.toFixed(2)} s old` : "another clock";
  facts.textContent = `${header.width}×${header.height}, ${age}`;
  if (header.near !== null) {
    const scale = panel.figure.querySelector(".scale");
    scale.hidden = false;
    const show = (value) => (header.unit ? `${value.toFixed(2)} ${header.unit}` : `${value.toFixed(2)} (relative)`);
    scale.querySelector(".near").textContent = show(header.near);
    scale.querySelector(".middle").textContent = show((header.near + header.far) / 2);
    scale.querySelector(".far").textContent = show(header.far);
  }
  drawMarks(panel);
}

function drawMarks(panel) {
  const context = panel.overlay.getContext("2d");
  const { width, height } = panel.overlay;
  context.clearRect(0, 0, width, height);
  if (!panel.width) return;
  context.lineWidth = Math.max(width / 320, 1.5);
  context.font = `${Math.max(width / 36, 12)}px system-ui`;
  for (const mark of marks) {
    const scale = width / panel.width;
    context.strokeStyle = context.fillStyle = "#6aa9ff";
    if (mark.box) {
      const [x, y, w, h] = mark.box.map((value) => value * scale);
      context.strokeRect(x, y, w, h);
    } else {
      const [x, y] = [(mark.u + 0.5) * scale, (mark.v + 0.5) * scale];
      context.beginPath();
      context.arc(x, y, width / 100, 0, 7);
      context.moveTo(x - width / 60, y); context.lineTo(x + width / 60, y);
      context.moveTo(x, y - width / 60); context.lineTo(x, y + width / 60);
      context.stroke();
      const left = x > width * 0.7;
      context.textAlign = left ? "right" : "left";
      context.lineWidth *= 2;
      context.strokeStyle = "#000";
      context.strokeText(mark.text, x + (left ? -1 : 1) * width / 45, y - width / 90);
      context.fillText(mark.text, x + (left ? -1 : 1) * width / 45, y - width / 90);
      context.lineWidth /= 2;
    }
  }
}

function setMarks(list) {
  marks = list;
  Object.values(panels).forEach(drawMarks);
}

function showEmpty(name, text) {
  const note = panels[name].figure.querySelector(".empty");
  note.textContent = text;
  note.hidden = false;
  note.style.display = "";
}

function setStatus(level, text) {
  const status = byId("status");
  status.dataset.level = level;
  status.textContent = text;
}

function showStatus(message) {
  setStatus(message.level, message.text);
  const values = message.values;
  const wanted = [["model", ""], ["perception rate [Hz]", " Hz"], ["perception took [s]", " s per frame"],
    ["scale source", ""]];
  byId("numbers").textContent = wanted.filter(([key]) => key in values)
    .map(([key, unit]) => String(values[key]).replaceAll("_", " ").toLowerCase() + unit).join(" · ");
  const select = byId("cameras");
  select.hidden = message.cameras.length < 2;
  const names = JSON.stringify(message.cameras);
  if (select.dataset.names !== names) {
    select.dataset.names = names;
    select.replaceChildren(...message.cameras.map((name) => new Option(name || "camera", name)));
  }
  select.value = message.camera;
}

const metres = (value) => (value === null ? "–" : `${value.toFixed(2)} m`);

function showObjects(objects) {
  showExamples(objects);
  byId("objects").tBodies[0].replaceChildren(...objects.map((item) => {
    const row = document.createElement("tr");
    const cells = [item.label, metres(item.distance), item.score === null ? "–" : item.score.toFixed(2)];
    row.replaceChildren(...cells.map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    }));
    return row;
  }));
}

// Questions to click: about what is in view, as the parser of the node knows them. They change only
// when something that they name has gone: what moves under the finger cannot be clicked.
let named = null;

function showExamples(objects) {
  const labels = objects.map((item) => item.label);
  const seen = [...objects].sort((one, other) => other.score - one.score).map((item) => item.label)
    .filter((label) => labels.indexOf(label) === labels.lastIndexOf(label));
  if (named && named.length && named.every((name) => seen.includes(name))) return;
  if (named && !seen.length) return;
  const [a, b] = named = seen.slice(0, 2);
  const questions = ["how much free space is ahead?"];
  if (a) questions.unshift(`how far is the ${a}?`);
  if (b) questions.push(`which is nearer, the ${a} or the ${b}?`, `how far is the ${a} from the ${b}?`);
  if (a) questions.push(`how wide is the ${a}?`);
  questions.push("is there a door?", "how many chairs are there?");
  byId("examples").replaceChildren(...questions.map((text) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", () => {
      byId("question").value = text;
      byId("form").requestSubmit();
    });
    return button;
  }));
}

byId("cameras").addEventListener("change", (event) => {
  for (const [name, panel] of Object.entries(panels)) {
    panel.picture.getContext("2d").clearRect(0, 0, panel.picture.width, panel.picture.height);
    showEmpty(name, "waiting ...");
  }
  setMarks([]);
  send({ type: "camera", name: event.target.value });
});

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = byId("question").value.trim();
  if (!question) return;
  const id = nextId++;
  const item = { kind: "ask", entry: entry(question), sent: performance.now() };
  item.entry.querySelector(".a").textContent = "...";
  answers.prepend(item.entry);
  while (answers.children.length > 30) answers.lastElementChild.remove();
  pending.set(id, item);
  if (!send({ type: "ask", id, question, mode: byId("mode").value })) {
    finish(id, item, { status: "ERROR", message: "not connected" });
  }
});

function measure(name, event) {
  const panel = panels[name];
  if (!panel.width) return;
  const frame = panel.overlay.getBoundingClientRect();
  const u = Math.min(Math.floor((event.clientX - frame.left) / frame.width * panel.width), panel.width - 1);
  const v = Math.min(Math.floor((event.clientY - frame.top) / frame.height * panel.height), panel.height - 1);
  const id = nextId++;
  pending.set(id, { kind: "measure", u, v });
  setMarks([{ u, v, text: "..." }]);
  send({ type: "measure", id, u, v });
}

function entry(question) {
  const item = document.createElement("li");
  for (const name of ["q", "a", "f"]) {
    const part = document.createElement("div");
    part.className = name;
    item.append(part);
  }
  item.querySelector(".q").textContent = question;
  return item;
}

// What the node says while it works: its place in the queue, the text, and the quick answer.
function follow(item, message) {
  if (message.turn !== item.turn) item.text = "";
  item.turn = message.turn;
  item.text = (item.text || "") + message.delta;
  if (message.direct) item.direct = `${message.direct} (first answer${message.checked ? "" : ", not checked"})`;
  item.entry.querySelector(".a").textContent = item.direct || "...";
  const place = message.queue > 0 ? `, ${message.queue} before it` : "";
  const text = item.text.slice(-200);
  item.entry.querySelector(".f").textContent = `${message.state}${place} ${text}`.trim();
}

function finish(id, item, reply) {
  pending.delete(id);
  if (item.kind === "measure") {
    const distance = reply.status === "OK" ? metres(reply.distance) : reply.status;
    setMarks([{ u: item.u, v: item.v, text: reply.label ? `${reply.label} ${distance}` : distance }]);
    byId("hint").textContent = reply.status === "OK"
      ? `(${item.u}, ${item.v}): ${reply.label || "surface"} at ${distance}, scale: ${reply.scale_source.replaceAll("_", " ").toLowerCase()}`
      : `(${item.u}, ${item.v}): ${reply.message}`;
    return;
  }
  const part = (name) => item.entry.querySelector(name);
  const ok = reply.status === "OK";
  item.entry.dataset.status = reply.status;
  part(".a").textContent = ok ? reply.text : reply.status.replaceAll("_", " ").toLowerCase();
  const facts = [];
  if (ok) {
    const unit = reply.unit === "1" || !reply.unit ? "" : ` ${reply.unit}`;
    if (reply.low !== null) facts.push(`90 %: ${reply.low.toFixed(2)} to ${reply.high.toFixed(2)}${unit}`);
    if (reply.understood) facts.push(`understood: ${reply.understood}`);
    if (reply.answered_by === "MEASURED") facts.push("measured on the maps alone");
    else if (reply.measured === null) facts.push("not measured on the maps");
    else if (Number.isNaN(parseFloat(reply.text))) facts.push(`the maps ${reply.agree ? "agree" : "differ"}`);
    else facts.push(`on the maps ${reply.measured.toFixed(2)}${unit}, ${reply.agree ? "agrees" : "differs"}`);
    item.entry.classList.add(reply.measured === null || reply.answered_by === "MEASURED" ? "alone" : reply.agree ? "agree" : "differ");
    if (!reply.checked && reply.message) facts.push(reply.message);
  } else {
    facts.push(reply.message);
    const looked = ["AMBIGUOUS", "NOT_VISIBLE", "NO_ANSWER", "UNPARSED", "DISAGREES"].includes(reply.status);
    item.entry.classList.add(looked ? "differ" : "refused");
  }
  if (reply.age > 0) facts.push(`image ${reply.age.toFixed(2)} s old`);
  if (item.sent) facts.push(`${((performance.now() - item.sent) / 1000).toFixed(2)} s`);
  part(".f").textContent = facts.join(" · ");
  if (reply.steps && reply.steps.length > 1) {
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    summary.textContent = "how it came about";
    details.append(summary, ...reply.steps.map((step) => {
      const line = document.createElement("div");
      line.textContent = `${step.type.toLowerCase()} ${step.text}`.trim();
      return line;
    }));
    item.entry.append(details);
  }
  setMarks((reply.objects || []).filter((object) => object.box[2] > 0).map((object) => ({ box: object.box })));
}

showExamples([]);
connect();
