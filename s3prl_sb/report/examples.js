"use strict";
(() => {
  // Tracks: a cursor follows the sound, a click or a key leads somewhere, + and - zoom.
  const trackOf = (element) => element?.closest?.(".track");
  const soundOf = (track) => track.querySelector("audio");
  const timeOf = (track) => track.querySelector(".time");
  const viewOf = (track) => track.querySelector(".track-view");
  const lengthOf = (track) => Number(track.dataset.stop) - Number(track.dataset.start);
  for (const track of document.querySelectorAll(".track"))
    track.classList.toggle("has-sound", Boolean(soundOf(track)));

  const move = (track, follows) => {
    const audio = soundOf(track), cursor = track.querySelector(".cursor");
    const share = Math.min(audio.currentTime / lengthOf(track), 1);
    cursor.hidden = false;
    cursor.style.left = 100 * share + "%";
    const view = viewOf(track), place = share * timeOf(track).offsetWidth;
    const isOut = place < view.scrollLeft || place > view.scrollLeft + 0.9 * view.clientWidth;
    if (follows && isOut) view.scrollLeft = place - 0.1 * view.clientWidth;
  };
  const seek = (track, seconds) => {
    soundOf(track).currentTime = Math.min(Math.max(seconds, 0), lengthOf(track));
    move(track, true);
  };
  const zoom = (track, factor) => {
    const time = timeOf(track), view = viewOf(track);
    const before = time.offsetWidth, middle = view.scrollLeft + view.clientWidth / 2;
    const most = Math.max(800 * lengthOf(track), view.clientWidth);
    const width = Math.min(Math.max(before * factor, view.clientWidth), most);
    time.style.width = width <= view.clientWidth ? "100%" : width + "px";
    view.scrollLeft = middle * width / before - view.clientWidth / 2;
  };

  let last = null;
  const step = (audio) => {
    const track = trackOf(audio);
    if (!track) return;
    move(track, true);
    if (!audio.paused && audio.isConnected) requestAnimationFrame(() => step(audio));
  };
  document.addEventListener("play", (event) => {
    const audio = event.target, beside = audio.closest(".side-by-side");
    // The same place in another version of the same sound
    if (beside && last && last !== audio && beside.contains(last) && audio.currentTime === 0 &&
        last.currentTime < last.duration) audio.currentTime = last.currentTime;
    last = audio;
    step(audio);
  }, true);
  for (const kind of ["seeked", "pause", "ended"])
    document.addEventListener(kind, (event) => {
      const track = trackOf(event.target);
      if (track && event.target === soundOf(track)) move(track, kind === "seeked");
    }, true);
  document.addEventListener("toggle", (event) => {
    if (event.target.tagName !== "DETAILS" || event.target.open) return;
    for (const audio of event.target.querySelectorAll("audio")) audio.pause();
  }, true);
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-zoom]");
    if (button) return zoom(trackOf(button), Number(button.dataset.zoom));
    const time = event.target.closest?.(".time"), track = trackOf(time);
    if (!track || !soundOf(track)) return;
    const box = time.getBoundingClientRect();
    seek(track, (event.clientX - box.left) / box.width * lengthOf(track));
    soundOf(track).play();
  });
  document.addEventListener("keydown", (event) => {
    if (!event.target.matches?.(".track-view")) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const track = trackOf(event.target), audio = soundOf(track);
    const by = event.shiftKey ? 5 : 1;
    const keys = { "+": () => zoom(track, 1.5), "=": () => zoom(track, 1.5), "-": () => zoom(track, 1 / 1.5) };
    if (audio) Object.assign(keys, {
      " ": () => (audio.paused ? audio.play() : audio.pause()),
      ArrowLeft: () => seek(track, audio.currentTime - by),
      ArrowRight: () => seek(track, audio.currentTime + by),
      Home: () => seek(track, 0), End: () => seek(track, lengthOf(track)),
    });
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
})();
