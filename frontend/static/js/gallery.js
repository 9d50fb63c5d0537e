// Multi-select: counts what is selected and selects all.
const form = document.getElementById("selection");
const counter = document.getElementById("selected");

function boxes() {
  return [...form.querySelectorAll("input[name=job]")];
}

function count() {
  const selected = boxes().filter((box) => box.checked).length;
  counter.textContent = selected ? `${selected} selected` : "";
}

if (form) {
  form.addEventListener("change", count);
  count(); // boxes ticked before this ran, or restored by the browser
  document.getElementById("select-all").addEventListener("click", () => {
    const all = boxes();
    const on = !all.every((box) => box.checked);
    for (const box of all) box.checked = on;
    count();
  });
}
