# What Hetzner is asked for.

terraform {
  required_providers {
    hcloud = {
      source  = "hetznercloud/hcloud"
      version = "~> 1.67"
    }
  }
}

# Free of charge, and known before the server is: the peer needs the address, and the server needs the peer's user data.
resource "hcloud_primary_ip" "web" {
  name        = "web-v6"
  type        = "ipv6"
  location    = "fsn1"
  auto_delete = false
}

resource "hcloud_server" "web" {
  name        = "web"
  image       = "debian-12"
  server_type = "cax11"
  location    = "fsn1"
  user_data   = hetznat_peer.web.user_data
  labels      = hetznat_peer.web.labels

  public_net {
    ipv4_enabled = false
    ipv6         = hcloud_primary_ip.web.id
  }
}
