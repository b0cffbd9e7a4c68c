#!/usr/bin/python3
"""A proxy that ends TLS and passes no upgrade but WebSocket, as many web servers are set up: for test_proxy.py.

    stripping_proxy.py PORT CERTIFICATE KEY BEHIND-ADDRESS BEHIND-PORT
"""

import socket
import ssl
import sys
import threading


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client, context, behind):
    try:
        client = context.wrap_socket(client, server_side=True)
        head = b""
        while b"\r\n\r\n" not in head:
            data = client.recv(65536)
            if not data:
                return
            head += data
        if b"upgrade:" in head.lower() and b"upgrade: websocket" not in head.lower():
            client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            client.close()
            print("refused", flush=True)
            return
        server = socket.create_connection(behind)
        server.sendall(head)
        print("passed", flush=True)
        threading.Thread(target=pump, args=(server, client), daemon=True).start()
        pump(client, server)
    except OSError:
        pass


def main():
    port, certificate, key, address, behind = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("", int(port)), backlog=64) as listener:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client, context, (address, int(behind))), daemon=True).start()


main()
