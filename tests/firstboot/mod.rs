//! The shell that runs on the node, under dash and busybox.

mod by_hand;
mod cuts;
mod down;
mod host_keys;
mod k3s;
mod kubeadm;
mod led;
mod marks;
pub mod node;
mod proxy;
mod runner;
pub mod steps;
