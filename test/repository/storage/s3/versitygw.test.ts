import { testS3Storage } from "./s3-storage-kind.js";

testS3Storage("versitygw");
