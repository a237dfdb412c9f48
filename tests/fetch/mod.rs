mod artefact;
mod cache;
mod download;
mod proxy;
mod resume;
mod support;
mod tamper;
mod unpack;
