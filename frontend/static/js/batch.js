// The page of one batch: says aloud what has changed, and when the server stops answering.
const banner = document.getElementById("connection");
const announcer = document.getElementById("announcer");
const message = document.getElementById("batch-message");
const title = document.title;
let announced = "";

function update() {
  const live = document.getElementById("batch-live");
  const { status } = live.dataset;
  const [ended, total] = [Number(live.dataset.ended), Number(live.dataset.total)];
  const share = total ? Math.floor((100 * ended) / total) : 100;
  const quarter = Math.floor(share / 25) * 25;
  const text = `${status}, ${quarter} percent done`;
  if (announced && text !== announced) announcer.textContent = text;
  announced = text;
  document.title = status === "finished" ? `✓ ${title}` : `${share} % · ${title}`;
}

document.addEventListener("htmx:after:request", () => { banner.hidden = true; });
document.addEventListener("htmx:error", () => { banner.hidden = false; });
// What a button was refused is said until another one is pressed.
document.addEventListener("submit", () => message.replaceChildren());
document.addEventListener("htmx:after:swap", update);
update();

// What could not be done at once is told once, not again when the page is reloaded.
const here = new URL(location);
if (here.searchParams.has("note")) {
  here.searchParams.delete("note");
  history.replaceState(history.state, "", here);
}
