// Words that several scripts of the part explorer use.

export function several(count) {
  return count === 1 ? "1 part" : `${count} parts`;
}
