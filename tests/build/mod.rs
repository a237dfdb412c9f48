//! `piflash build` as a user runs it, judged by tools that are not ours.

mod artefacts;
mod custom;
mod demo;
mod downloaded;
mod fleet;
mod interrupted;
mod large;
mod locked;
mod outputs;
mod packed;
mod refused;
mod several;
mod signed;
mod stock;
mod tampered;
