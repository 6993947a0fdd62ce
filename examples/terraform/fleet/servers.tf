# What Hetzner is asked for.

terraform {
  required_providers {
    hcloud = {
      source  = "hetznercloud/hcloud"
      version = "~> 1.67"
    }
  }
}

# Free of charge, and known before the servers are. A replaced server keeps its address, so the gateway finds it again.
resource "hcloud_primary_ip" "v6" {
  for_each    = var.servers
  name        = "${each.key}-v6"
  type        = "ipv6"
  location    = each.value.location
  auto_delete = false
}

resource "hcloud_server" "server" {
  for_each     = var.servers
  name         = each.key
  image        = "debian-12"
  server_type  = each.value.type
  location     = each.value.location
  user_data    = hetznat_peer.server[each.key].user_data
  labels       = hetznat_peer.server[each.key].labels
  firewall_ids = [hcloud_firewall.tunnel.id]

  public_net {
    ipv4_enabled = false
    ipv6         = hcloud_primary_ip.v6[each.key].id
  }
}

# WireGuard answers nobody without a key, so the gateway's changing address need not be known here.
resource "hcloud_firewall" "tunnel" {
  name = "hetznat"

  rule {
    description = "hetznat"
    direction   = "in"
    protocol    = "udp"
    port        = "46464"
    source_ips  = ["::/0"]
  }

  rule {
    description = "ssh"
    direction   = "in"
    protocol    = "tcp"
    port        = "22"
    source_ips  = ["::/0"]
  }

  rule {
    description = "errors and ping; IPv6 does not work without the first"
    direction   = "in"
    protocol    = "icmp"
    source_ips  = ["::/0"]
  }
}
