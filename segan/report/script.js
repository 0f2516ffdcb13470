// Players: one at a time; within an utterance, the next takes over where the last one was.
for (const example of document.querySelectorAll(".example")) {
  const players = [...example.querySelectorAll("audio")];
  let last = null;
  for (const player of players) {
    const picture = player.closest(".sound").querySelector(".spectrum");
    const line = picture.querySelector("i");
    const seconds = Number(example.dataset.seconds);
    const follow = () => {
      line.style.display = "block";
      line.style.left = `${100 * player.currentTime / seconds}%`;
      if (!player.paused) requestAnimationFrame(follow);
    };
    player.addEventListener("play", () => {
      for (const other of document.querySelectorAll("audio")) if (other !== player) other.pause();
      if (last && last !== player && !last.ended && last.currentTime < player.duration) {
        player.currentTime = last.currentTime;
        last.closest(".sound").querySelector("i").style.display = "none";
      }
      last = player;
      follow();
    });
    player.addEventListener("seeked", follow);
    picture.addEventListener("click", (event) => {
      const box = picture.getBoundingClientRect();
      last = player;
      player.currentTime = seconds * (event.clientX - box.left) / box.width;
      player.play();
    });
  }
}

// Tables: a click on a heading sorts by it, a second one the other way round.
for (const heading of document.querySelectorAll("table.sortable thead th:not(:first-child)")) {
  const button = document.createElement("button");
  button.className = "sort";
  button.append(...heading.childNodes);
  heading.append(button);
  button.addEventListener("click", () => {
    const order = heading.ariaSort === "descending" ? "ascending" : "descending";
    for (const other of heading.parentElement.cells) other.ariaSort = null;
    heading.ariaSort = order;
    const sign = order === "descending" ? -1 : 1;
    const value = (row) => parseFloat(row.cells[heading.cellIndex].dataset.value);
    for (const body of heading.closest("table").tBodies) {
      const rows = [...body.rows].filter((row) => row.cells.length > 1);
      body.append(...rows.sort((a, b) =>
        isNaN(value(a)) - isNaN(value(b)) || sign * (value(a) - value(b)) || 0));
    }
  });
}
