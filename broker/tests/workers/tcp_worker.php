#!/usr/bin/env php
<?php
// A worker for tcp:// targets: prints each payload it gets, and acknowledges it.
//
//     tcp_worker.php [--port N] [--port-file FILE] [--fail-every N] [--slow MS]

$options = getopt('', ['port:', 'port-file:', 'fail-every:', 'slow:']);
$failEvery = (int) ($options['fail-every'] ?? 0);
$slow = (int) ($options['slow'] ?? 0);
$tasks = 0;

$server = stream_socket_server('tcp://127.0.0.1:' . ($options['port'] ?? 0), $code, $error);
if (!$server) {
    fwrite(STDERR, "$error\n");
    exit(1);
}
if (isset($options['port-file'])) {
    $address = stream_socket_get_name($server, false);
    file_put_contents($options['port-file'] . '.new', substr(strrchr($address, ':'), 1));
    rename($options['port-file'] . '.new', $options['port-file']);
}

function work(object $task): array
{
    global $failEvery, $slow, $tasks;
    usleep($slow * 1000);
    $tasks += 1;
    if ($failEvery && $tasks % $failEvery === 0) {
        return ['nack' => $task->receipt, 'delay' => '100ms', 'reason' => 'every so often'];
    }
    echo json_encode($task->payload, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE), "\n";
    return ['ack' => $task->receipt];
}

// A task is a line; what came of the next one waits in the buffer.
$connections = [];
$buffers = [];
while (true) {
    $ready = [$server, ...array_values($connections)];
    $none = null;
    stream_select($ready, $none, $none, null);
    foreach ($ready as $stream) {
        if ($stream === $server) {
            $connection = stream_socket_accept($server);
            stream_set_blocking($connection, false);
            $connections[(int) $connection] = $connection;
            $buffers[(int) $connection] = '';
            continue;
        }
        $id = (int) $stream;
        $read = fread($stream, 65536);
        if ($read === '' || $read === false) {
            if (feof($stream)) {
                fclose($stream);
                unset($connections[$id], $buffers[$id]);
            }
            continue;
        }
        $lines = explode("\n", $buffers[$id] . $read);
        $buffers[$id] = array_pop($lines);
        foreach ($lines as $line) {
            fwrite($stream, json_encode(work(json_decode($line))) . "\n");
        }
    }
}
