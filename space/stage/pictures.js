// A picture in a form is replaced by clicking at it; by keyboard, it is taken away and then chosen.
export function watchPictures() {
  addEventListener("click", (event) => {
    const picture = event.target.closest?.("[data-testid=image] .image-frame img");
    picture?.closest(".block").querySelector("input[type=file]")?.click();
  });
}
