// The pointer on the model: what is under it is lit up, a click chooses it.

const CLICK_PX = 5;

export function listenToPointer(explorer, canvas) {
  let down = null;
  let place = null;
  let isLooking = false;

  async function partAt(clientX, clientY) {
    const patch = await explorer.scene.patchAt(clientX, clientY);
    return patch === null ? null : explorer.division.patchParts[patch];
  }

  async function lookUnder() {
    if (isLooking) return; // the newest place is looked at next
    isLooking = true;
    while (place) {
      const looked = place;
      const index = await partAt(...looked);
      if (place) explorer.point(index); // else it has left the model in the meantime
      if (place === looked) place = null;
    }
    isLooking = false;
  }

  async function clicked(event) {
    if (explorer.drawing.isOn) {
      await explorer.drawing.chooseAt(event.clientX, event.clientY);
      return;
    }
    if (explorer.pick.isOn) {
      await explorer.pick.ask(event.clientX, event.clientY);
      return;
    }
    const adds = event.shiftKey || explorer.adds(event);
    const index = await partAt(event.clientX, event.clientY);
    if (index !== null) {
      explorer.choose(adds ? explorer.list.toggled(index) : [index]);
      explorer.list.reveal(index);
    } else if (!adds) {
      explorer.choose([]);
    }
  }

  canvas.addEventListener("pointerdown", (event) => (down = [event.clientX, event.clientY]));
  canvas.addEventListener("pointerup", (event) => {
    const moved = down ? Math.hypot(event.clientX - down[0], event.clientY - down[1]) : Infinity;
    down = null;
    if (moved <= CLICK_PX) clicked(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons || event.pointerType === "touch" || explorer.drawing.isOn) return;
    place = [event.clientX, event.clientY];
    lookUnder();
  });
  canvas.addEventListener("pointerleave", () => {
    place = null;
    explorer.point(null);
  });
}
