//! `piflash build` as a user runs it, judged by tools that are not ours.

mod agree;
mod artefacts;
mod custom;
mod demo;
mod downloaded;
mod fleet;
mod interrupted;
mod large;
mod limits;
mod locked;
mod outputs;
mod packed;
mod refused;
mod rot;
mod several;
mod signed;
mod stock;
mod tampered;
