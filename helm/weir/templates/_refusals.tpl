{{/* Values that would change the labels by which pods and services are found, as a list of sentences. */}}
{{- define "weir.foundBy" -}}
{{- $labels := dict "commonLabels" .Values.commonLabels "broker.persistence.labels" .Values.broker.persistence.labels "tests.podLabels" .Values.tests.podLabels -}}
{{- range $component := list "broker" "agent" "ui" -}}
{{- $values := index $.Values $component -}}
{{- $_ := set $labels (printf "%s.podLabels" $component) $values.podLabels -}}
{{- with $values.service -}}
{{- $_ := set $labels (printf "%s.service.labels" $component) .labels -}}
{{- end -}}
{{- end -}}
{{- range $path, $given := $labels -}}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "weir/service" -}}
{{- if hasKey (default dict $given) $label }}
- {{ printf "%s has %s, by which pods and services are found: leave it out" $path $label | quote }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Further flags and variables that a container has already, as a list of sentences. */}}
{{- define "weir.givenTwice" -}}
{{- $flags := dict
  "broker" (list "config" "data-dir" "http" "grpc" "grace-period" "push-ca")
  "agent" (list "config" "broker" "node" "labels" "http" "path.procfs" "path.sysfs" "path.rootfs")
  "ui" (list "config" "broker" "http" "grace-period")
  "tests" (list "broker" "ui" "timeout" "topic") -}}
{{- $variables := dict
  "broker" (list "WEIR_BROKER_INDEX" "WEIR_BROKER_COUNT" "WEIR_BROKER_PEERS")
  "agent" (list "NODE_NAME" "POD_NAME" "POD_NAMESPACE" "NODE_ZONE") -}}
{{- range $component, $known := $flags -}}
{{- range (index $.Values $component).extraArgs -}}
{{- $flag := regexFind "[^=]*" . -}}
{{- if has (trimPrefix "--" $flag) $known }}
- {{ printf "%s.extraArgs has %s, which other values set and which may be given once" $component $flag | quote }}
{{- end -}}
{{- end -}}
{{- $names := default list (get $variables $component) -}}
{{- range (index $.Values $component).extraEnv -}}
{{- if has .name $names }}
- {{ printf "%s.extraEnv has %s, which is set already" $component .name | quote }}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A time such as 1m30s in milliseconds. */}}
{{- define "weir.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 -}}
{{- $sum := 0 -}}
{{- range $part := regexFindAll "[0-9]+(ms|s|m|h)" . -1 -}}
{{- $unit := regexFind "[a-z]+" $part -}}
{{- $sum = add $sum (mul (trimSuffix $unit $part | int64) (get $units $unit)) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}
