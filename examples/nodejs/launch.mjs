// node launch.mjs prod m5.large subnet-0123456789abcdef0
import { EC2Client, RunInstancesCommand } from "@aws-sdk/client-ec2";
import { AmiClient } from "./latest-ami.mjs";

// Without a rate, each block of the disk is fetched when it is first read, and the first start takes minutes. An image
// cannot carry the rate, so every launch names it (docs/fleets.md).
const ROOT_DEVICE = "/dev/sda1";
const INITIALIZATION_RATE = 300; // MiB/s; 100 to 300

const [environment, instanceType, subnetId] = process.argv.slice(2);
if (subnetId === undefined) {
  console.error("usage: launch.mjs ENVIRONMENT INSTANCE_TYPE SUBNET_ID");
  process.exit(1);
}
const region = process.env.AWS_REGION ?? "us-east-1";
try {
  const answer = await new EC2Client({ region }).send(
    new RunInstancesCommand({
      ImageId: await new AmiClient({ region }).getLatestAmiId(environment),
      InstanceType: instanceType,
      SubnetId: subnetId,
      MinCount: 1,
      MaxCount: 1,
      BlockDeviceMappings: [
        { DeviceName: ROOT_DEVICE, Ebs: { VolumeType: "gp3", VolumeInitializationRate: INITIALIZATION_RATE } },
      ],
    }),
  );
  console.log(answer.Instances[0].InstanceId);
} catch (error) {
  console.error(`${error.name}: ${error.message}`);
  process.exitCode = 1;
}
