mod demo;
mod made_images;
mod probe;
mod wrong_images;
