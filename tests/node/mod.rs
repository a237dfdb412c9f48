//! `piflash status` and `piflash down`, with real sshds as nodes.

mod api;
mod down;
mod kubeadm;
mod members;
mod nodes;
mod status;
mod watch;
