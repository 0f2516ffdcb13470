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

