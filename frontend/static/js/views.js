// Pictures from other sides: chosen or dropped on their field, shown small, and checked.
import { refusal } from "./picture-check.js";

const maxBytes = parseInt(document.getElementById("file-help").textContent.match(/(\d+) MB/)[1], 10) * 2 ** 20;

function start(field) {
  const input = field.querySelector("input[type=file]");
  const picture = field.querySelector(".view-picture");
  const note = field.querySelector("[role=status]");
  const remove = field.querySelector("[data-view-remove]");
  const kept = picture.getAttribute("src");

  function show(file) {
    if (picture.src.startsWith("blob:")) URL.revokeObjectURL(picture.src);
    const address = file ? URL.createObjectURL(file) : kept;
    picture.hidden = !address;
    if (address) picture.src = address;
    picture.alt = address ? `Picture from the ${field.dataset.view}` : "";
    remove.hidden = !file;
  }

  function clear() {
    input.value = "";
    show(null);
  }

  async function check() {
    const [file] = input.files;
    note.textContent = "";
    if (!file) return show(null);
    const reason = await refusal(file, maxBytes);
    if (input.files[0] !== file) return undefined; // another was chosen meanwhile
    if (reason) {
      clear();
      note.textContent = `${file.name}: ${reason}`;
      return undefined;
    }
    return show(file);
  }

  input.addEventListener("change", check);
  remove.addEventListener("click", () => {
    clear();
    note.textContent = "Removed.";
    input.focus();
  });
  field.addEventListener("dragover", (event) => {
    event.preventDefault();
    event.stopPropagation(); // the page takes what is dropped elsewhere
    field.classList.add("view-over");
  });
  field.addEventListener("dragleave", () => field.classList.remove("view-over"));
  field.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    field.classList.remove("view-over");
    document.getElementById("drop-overlay").hidden = true;
    const transfer = new DataTransfer();
    if (event.dataTransfer.files.length) transfer.items.add(event.dataTransfer.files[0]);
    input.files = transfer.files;
    check();
  });
}

document.querySelectorAll(".view").forEach(start);
