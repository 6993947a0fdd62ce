# What Hetzner is asked for.

terraform {
  required_providers {
    hcloud = {
      source  = "hetznercloud/hcloud"
      version = "~> 1.67"
    }
  }
}

resource "hcloud_server" "server" {
  for_each    = var.servers
  name        = each.key
  image       = "debian-12"
  server_type = "cax11"
  location    = "fsn1"
  user_data   = hetznat_peer.server[each.key].user_data
  labels      = hetznat_peer.server[each.key].labels

  public_net {
    ipv4_enabled = false
    ipv6_enabled = true
  }
}
