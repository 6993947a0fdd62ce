# What Hetzner is asked for, where Terraform makes the servers of the group itself.

terraform {
  required_providers {
    hcloud = {
      source  = "hetznercloud/hcloud"
      version = "~> 1.67"
    }
  }
}

resource "hcloud_server" "worker" {
  count       = var.workers
  name        = "worker-${count.index}"
  image       = "debian-12"
  server_type = "cax11"
  location    = "fsn1"
  user_data   = hetznat_peer_group.workers.user_data
  labels      = hetznat_peer_group.workers.labels

  public_net {
    ipv4_enabled = false
    ipv6_enabled = true
  }

  # Servers that run stay members when the secret is rotated; who wants new ones, replaces them one by one.
  lifecycle {
    ignore_changes = [user_data]
  }
}
