// Runs before the first paint: says that scripts work, and applies the chosen theme.
document.documentElement.classList.add("js");
try {
  const theme = localStorage.getItem("theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // storage may be forbidden; the system's theme is used
}
